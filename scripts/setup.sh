#!/usr/bin/env bash
# Makes .venv from requirements-dev.lock, .dagster/ and dev.env. Needs Python 3.11 to 3.13; gets uv
# into .tools/ when it is not on PATH. Does nothing when nothing has changed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"

fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

# What this environment was made from: the files, the Python and the folder.
stamp=.venv/.recsys-stamp
want=$(cat requirements-dev.lock pyproject.toml scripts/setup.sh dagster.yaml | cksum)
have='' made_by='' made_in=''
if [[ -f $stamp ]]; then
  { read -r have && read -r made_by && read -r made_in; } <"$stamp" || true
fi
fresh=$([[ $made_in == "$root" && ${PYTHON:-$made_by} == "$made_by" && -x .venv/bin/python ]] || echo yes)
if [[ -z $fresh && $have == "$want" && -f dev.env && -e .dagster/dagster.yaml ]]; then
  exit 0
fi

fits() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

find_python() {
  if [[ -n ${PYTHON:-} ]]; then
    fits "$PYTHON" || fail "PYTHON=$PYTHON is not a Python from 3.11 to 3.13."
    echo "$PYTHON"
    return
  fi
  local name
  for name in python3 python3.13 python3.12 python3.11 python; do
    if command -v "$name" >/dev/null && fits "$name"; then
      command -v "$name"
      return
    fi
  done
  fail "no Python from 3.11 to 3.13 on PATH." \
    "Install one (Debian 12: apt-get install python3 python3-venv), or name it: make setup PYTHON=/path/to/python3.12"
}

find_uv() {
  local python=$1
  if [[ -x .tools/uv/bin/uv ]] && .tools/uv/bin/uv --version >/dev/null 2>&1; then
    echo "$root/.tools/uv/bin/uv"
    return
  fi
  if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
    command -v uv
    return
  fi
  echo "setup: getting uv into .tools/" >&2
  rm -rf .tools/uv
  local log=.tools/uv.log
  mkdir -p .tools
  if "$python" -m venv .tools/uv >"$log" 2>&1; then
    .tools/uv/bin/python -m pip install -q --disable-pip-version-check --require-hashes \
      -r requirements-build.lock >&2 || fail "pip could not install uv; its message is above."
  elif rm -rf .tools/uv && "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m pip install -q --disable-pip-version-check --require-hashes \
      --target .tools/uv -r requirements-build.lock >&2 ||
      fail "pip could not install uv; its message is above."
  else
    rm -rf .tools/uv
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    fail "$python can make no virtual environment: it has neither ensurepip nor pip, and uv is not on PATH." \
      "Debian and Ubuntu: apt-get install python$version-venv (or: apt-get install python3-pip). Then run this again."
  fi
  echo "$root/.tools/uv/bin/uv"
}

# Inside single quotes only a single quote needs care.
quoted() {
  printf "'%s'" "${1//\'/\'\\\'\'}"
}

write_dev_env() {
  cat >dev.env.new <<EOF
# Written by \`make setup\`; source it: . ./dev.env
export DAGSTER_HOME=$(quoted "$root/.dagster")
export VIRTUAL_ENV=$(quoted "$root/.venv")
export PATH=$(quoted "$root/.venv/bin"):"\$PATH"
# Dagster writes the events of a range together: three times as fast (docs/adr/0007).
export DAGSTER_EVENT_BATCH_SIZE=500
# A line in .env beats these defaults.
grep -qs '^RECSYS_STORAGE_ROOT=' $(quoted "$root/.env") || export RECSYS_STORAGE_ROOT=$(quoted "$root/data")
grep -qs '^RECSYS_TENANTS_FILE=' $(quoted "$root/.env") || export RECSYS_TENANTS_FILE=$(quoted "$root/tenants.toml")
grep -qs '^RECSYS_METADATA_URL=' $(quoted "$root/.env") || export RECSYS_METADATA_URL=sqlite:///$(quoted "$root/.dagster/metadata.db")
# \`make demo\` leaves here the start date of the data that it made.
grep -qs '^RECSYS_START_DATE=' $(quoted "$root/.env") || [ ! -f $(quoted "$root/.dagster/demo.env") ] || . $(quoted "$root/.dagster/demo.env")
EOF
  mv dev.env.new dev.env
}

export UV_PYTHON_DOWNLOADS=never UV_NO_CONFIG=1 UV_NO_PROGRESS=1 PIP_ROOT_USER_ACTION=ignore
python=$(find_python)
uv=$(find_uv "$python")

# A moved folder or another Python: the scripts in .venv/bin name both.
if [[ -n $fresh ]] || ! .venv/bin/python -c '' 2>/dev/null; then
  "$uv" venv -q --clear --python "$python" .venv
fi
rm -f "$stamp"
echo "setup: installing the locked set into .venv" >&2
# Wheels only, and this project's own build backend comes from the lock: nothing unlocked is fetched.
"$uv" pip sync -q --python .venv/bin/python --require-hashes --only-binary :all: \
  requirements-dev.lock ||
  fail "the locked set could not be installed; uv's message is above."
"$uv" pip install -q --python .venv/bin/python --no-deps --no-build-isolation --editable . ||
  fail "the project itself could not be installed; uv's message is above."

mkdir -p .dagster
ln -sfn ../dagster.yaml .dagster/dagster.yaml
write_dev_env
echo "setup: compiling the kernels" >&2
.venv/bin/python -m recsys_pipeline.maintenance.warm
printf '%s\n' "$want" "$python" "$root" >"$stamp"
echo "setup: done. Next: source dev.env" >&2
