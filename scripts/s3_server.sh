#!/usr/bin/env bash
# Build the S3 server of docker-compose.yml for the tests, where Go is at hand: .tools/bin/versitygw.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(sed -nE 's/^ *image: versity\/versitygw:(v[0-9.]+).*/\1/p' docker-compose.yml)
built=.tools/bin/versitygw
if [[ -x $built && -f $built.version && $(<"$built.version") == "$version" ]]; then
  exit 0
fi
mkdir -p .tools/bin
GOBIN=$PWD/.tools/bin go install "github.com/versity/versitygw/cmd/versitygw@$version"
echo "$version" >"$built.version"
