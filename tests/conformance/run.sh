#!/bin/sh
# Runs the conformance suite of the OCI distribution specification, at the
# version that go.mod names, against oci-serve, with every check that is off by
# default turned on. Prints "N passed, N failed, N skipped" and fails unless all
# of them passed. The suite's report stays in $RESULTS if that is set.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
results=${RESULTS:-$work/results}
server=

cleanup() {
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

(cd "$here/../.." && CGO_ENABLED=0 go build -trimpath -o "$work/oci-serve" ./cmd/oci-serve)
(cd "$here" && CGO_ENABLED=0 go build -o "$work/suite" github.com/opencontainers/distribution-spec/conformance)

# The record arrives when the registry accepts connections; read waits for it.
mkfifo "$work/record"
"$work/oci-serve" --host 127.0.0.1 --port 0 --storage "$work/storage" --format '{{.address}}' >"$work/record" &
server=$!
read -r address <"$work/record"

# OCI_VERSION=1.1+dev stands for the specification as it is now; it turns on
# upload cancel, tag parameters and the digest headers.
OCI_REGISTRY=$address OCI_TLS=disabled OCI_VERSION=1.1+dev OCI_RESULTS_DIR=$results \
	OCI_DATA_SPARSE=true OCI_DATA_SHA512=true \
	OCI_API_BLOBS_UPLOAD_CANCEL=true OCI_API_BLOBS_MOUNT_ANONYMOUS=true OCI_API_BLOBS_DIGEST_HEADER=true \
	OCI_API_MANIFESTS_TAG_PARAM=true OCI_API_MANIFESTS_DIGEST_HEADER=true \
	"$work/suite" >"$work/report" 2>&1 || true

# count adds up the lines "  Name....:  N" of the report's table of results; a
# name that is missing counts as nothing, which the check below notices.
count() {
	for name in "$@"; do
		sed -n "s/^  $name\.*: *\([0-9][0-9]*\)\$/\1/p" "$work/report"
	done | awk '{ n += $1 } END { print n + 0 }'
}
passed=$(count Pass)
failed=$(count FAIL Error)
skipped=$(count Skip Disabled)
echo "$passed passed, $failed failed, $skipped skipped"
if [ "$passed" -eq 0 ] || [ "$failed" -ne 0 ] || [ "$skipped" -ne 0 ]; then
	grep -v -e ': Pass$' -e '^  *$' "$work/report" >&2
	exit 1
fi
