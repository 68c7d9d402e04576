#!/usr/bin/env bash
# Changes the module's path to MODULE, the repository's address without https://,
# so that `go install MODULE/cmd/...@VERSION` works once it is published there.
# go.mod holds the path; everything else is derived from it or rewritten here.
set -euo pipefail
cd "$(dirname "$0")/.."
new=${1-}
old=$(sed -n 's/^module //p' go.mod)
if ! [[ $new =~ ^[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9._~-]+)+$ ]]; then
  echo "module: MODULE must be a host and a path, such as example.com/site/k0rdent-airgap" >&2
  exit 2
fi
mapfile -t mods < <(find . -name go.mod ! -path './.*')
mapfile -t sources < <(grep -rlE --include='*.go' "\"${old}[/\"]" cmd lib packaging tests)
sed -i -E "s,(^|[ \t])$old( |/|\$),\1$new\2," "${mods[@]}"
sed -i -E "s,\"$old([\"/]),\"$new\1," "${sources[@]}"
gofmt -w "${sources[@]}"
