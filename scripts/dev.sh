#!/usr/bin/env bash
# Runs the Dagster UI, daemon and code server on the loopback. Ctrl-C, a closed terminal or a plain
# kill ends all of them: they share one process group, and that group is what gets the signal.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
set -m
# dagster warns that the dagster.yaml here is not in DAGSTER_HOME; it is, by a link.
dg dev --host 127.0.0.1 --port "${PORT:-3000}" "$@" </dev/null \
  > >(trap '' INT && exec grep --line-buffered -v 'Found a dagster instance configuration value') 2>&1 &
group=$!

finish() {
  trap - EXIT INT TERM HUP
  kill -INT -- "-$group" 2>/dev/null || true
  for _ in $(seq 100); do
    kill -0 -- "-$group" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL -- "-$group" 2>/dev/null || true
}
trap finish EXIT
trap 'finish; exit 130' INT
trap 'finish; exit 143' TERM HUP
wait "$group"
