#!/usr/bin/env bash
# Resolves pyproject.toml into the three lock files. Without --upgrade a pin stays where it still fits.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
uv=.tools/uv/bin/uv
[[ -x $uv ]] || uv=$(command -v uv) || { echo "lock: run make setup first" >&2; exit 1; }

compile() {
  "$uv" pip compile -q --no-config --generate-hashes --universal --python-version 3.11 \
    --no-emit-index-url --no-emit-find-links --no-annotate --no-header "$@" >/dev/null
}

compile pyproject.toml --extra postgres -o requirements.lock "$@"
compile pyproject.toml --extra postgres --group dev -c requirements.lock -o requirements-dev.lock "$@"
compile --group build -o requirements-build.lock "$@"
# With this folder's environment made from an older lock, the next `make setup` brings it up to date.
echo "lock: wrote requirements.lock, requirements-dev.lock and requirements-build.lock" >&2
