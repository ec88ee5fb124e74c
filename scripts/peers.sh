#!/usr/bin/env bash
# Makes .bench/peers: an environment of its own for contenders whose pins are not ours.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
uv=.tools/uv/bin/uv
[[ -x $uv ]] || uv=$(command -v uv)
mkdir -p .bench
"$uv" venv -q --allow-existing --python .venv/bin/python .bench/peers
"$uv" pip install -q --python .bench/peers/bin/python -r benchmarks/peers.txt
