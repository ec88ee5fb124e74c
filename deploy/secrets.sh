#!/usr/bin/env bash
# Adds to .env a password of its own for each service of docker-compose.yml. One that is there stays:
# Postgres and Grafana keep the password of their first start.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 077
touch .env
chmod 600 .env
# a last line without its end would swallow the first password
[[ -z $(tail -c 1 .env) ]] || echo >>.env
for name in POSTGRES_PASSWORD S3_ACCESS_KEY S3_SECRET_KEY OPERATOR_PASSWORD VIEWER_PASSWORD GRAFANA_PASSWORD; do
  grep -q "^$name=." .env && continue
  # hexadecimal: it needs no quoting, neither here nor in an address
  echo "$name=$(od -An -tx1 -N20 /dev/urandom | tr -d ' \n')" >>.env
  echo "$name: new in .env"
done
