#!/bin/sh
# Runs the conformance suite of the OCI distribution specification, at the
# version that go.mod names, against oci-serve, with every check that is off by
# default turned on: once over plain HTTP, once over TLS with credentials for
# everything. Prints "N passed, N failed, N skipped" for each and fails unless
# all of them passed. The suite's reports stay in $RESULTS if that is set.
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

# pass NAME [FLAG...]: starts oci-serve with the flags and runs the suite, whose
# settings beyond the usual ones are in the environment.
pass() {
	name=$1
	shift
	# The record arrives when the registry accepts connections; read waits for it.
	"$work/oci-serve" --host 127.0.0.1 --port 0 --storage "$work/storage-$name" --format '{{.address}}' "$@" >"$work/record" &
	server=$!
	read -r address <"$work/record"
	# OCI_VERSION=1.1+dev stands for the specification as it is now; it turns on
	# upload cancel, tag parameters and the digest headers.
	OCI_REGISTRY=$address OCI_VERSION=1.1+dev OCI_RESULTS_DIR=$results/$name \
		OCI_DATA_SPARSE=true OCI_DATA_SHA512=true \
		OCI_API_BLOBS_UPLOAD_CANCEL=true OCI_API_BLOBS_MOUNT_ANONYMOUS=true OCI_API_BLOBS_DIGEST_HEADER=true \
		OCI_API_MANIFESTS_TAG_PARAM=true OCI_API_MANIFESTS_DIGEST_HEADER=true \
		"$work/suite" >"$work/report" 2>&1 || true
	kill "$server"
	wait "$server" || true
	server=
	results
}

# count adds up the lines "  Name....:  N" of the report's table of results; a
# name that is missing counts as nothing, which the check below notices.
count() {
	for name in "$@"; do
		sed -n "s/^  $name\.*: *\([0-9][0-9]*\)\$/\1/p" "$work/report"
	done | awk '{ n += $1 } END { print n + 0 }'
}

# results prints the counts of a report, and everything that did not pass.
results() {
	passed=$(count Pass)
	failed=$(count FAIL Error)
	skipped=$(count Skip Disabled)
	echo "$passed passed, $failed failed, $skipped skipped"
	if [ "$passed" -eq 0 ] || [ "$failed" -ne 0 ] || [ "$skipped" -ne 0 ]; then
		grep -v -e ': Pass$' -e '^  *$' "$work/report" >&2
		exit 1
	fi
}

mkfifo "$work/record"
export OCI_TLS=disabled
pass plain
# shellcheck disable=SC2016 # a hash of "wonder land", not variables
echo 'alice:$2y$05$kxH0jQ7XtkyhWxZpxU/0.OOWdP6pNrteF.wRfJnjeprEcvTT3DVXi' >"$work/users"
chmod 600 "$work/users"
# A Go program trusts what SSL_CERT_FILE names; it is read when it is needed.
export OCI_TLS=enabled OCI_USERNAME=alice OCI_PASSWORD='wonder land' SSL_CERT_FILE="$work/storage-tls/tls/ca.pem"
pass tls --tls auto --htpasswd "$work/users" --write auth --read auth
