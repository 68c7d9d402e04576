#!/usr/bin/env bats
# Exit codes, and where settings come from.
# shellcheck disable=SC2154 # registry is set by serve, output and stderr by run

load lib/helper

@test "status 0: --help and --version of every tool, on stdout" {
  local tool
  for tool in $(tools); do
    run -0 --separate-stderr "$tool" --help
    [[ $output == "usage: "* && -z $stderr ]]
    run -0 --separate-stderr "$tool" --version
    [[ $output == "$tool "*" linux/"* && -z $stderr ]]
  done
}

@test "status 2: misuse of every tool" {
  local tool
  for tool in $(tools); do
    run -2 --separate-stderr "$tool" --no-such-flag
    explained "$tool"
    run -2 --separate-stderr "$tool" --format '{{'
    explained "$tool"
    run -2 --separate-stderr "$tool" one two
    explained "$tool"
    run -2 --separate-stderr "$tool" one --no-such-flag
    explained "$tool"
    run -2 --separate-stderr "$tool" --config /no/such/file
    explained "$tool"
  done
}

@test "status 2: a tool that would wait for input on a terminal says so" {
  local tool
  need script
  for tool in bundle-version bundle-ls 'k0s-extract --to k0s' 'oci-push --to localhost:1'; do
    run -2 script -qec "$tool" /dev/null
    [[ $output == *'no input'* && $output == *hint:* ]]
  done
}

@test "status 1: a bundle that is missing, not a bundle, or empty" {
  local tool
  : >empty
  echo 'hello, this is not a bundle' >text
  serve
  for tool in bundle-version bundle-ls 'k0s-extract --to k0s' "oci-push --to $registry"; do
    for file in missing empty text; do
      # shellcheck disable=SC2086 # a command and its flags
      run -1 --separate-stderr $tool "$file"
      explained "${tool%% *}"
      [[ $stderr == *"$file"* ]]
    done
  done
}

@test "status 1: an error names the line that is not a record" {
  local tool
  serve
  printf '{"kind":"note"}\n\nnot json\n' >lines
  for tool in bundle-version bundle-ls 'k0s-extract --to k0s' "oci-push --to $registry"; do
    # shellcheck disable=SC2086
    run -1 --separate-stderr $tool <lines
    explained "${tool%% *}"
    [[ $stderr == *'line 3'* ]]
  done
}

@test "status 75: no registry listens where oci-push pushes" {
  serve
  stop "$server"
  run -75 --separate-stderr oci-push --to "$registry" "$SAMPLE/bundle.tgz"
  explained oci-push
  [[ $stderr == *"$registry"* ]]
}

@test "status 75: the port of oci-serve is busy" {
  serve
  run -75 --separate-stderr oci-serve --host 127.0.0.1 --port "${registry##*:}" --storage other
  explained oci-serve
  [[ $stderr == *"${registry##*:}"* ]]
}

@test "oci-serve: a storage directory has one server at a time" {
  serve
  run --separate-stderr oci-serve --host 127.0.0.1 --port 0 --storage storage
  [ "$status" = 75 ] || [ "$status" = 1 ]
  explained oci-serve
  [[ $stderr == *storage* ]]
}

@test "oci-serve: a read-only storage" {
  echo in the way >file
  run -1 --separate-stderr oci-serve --host 127.0.0.1 --port 0 --storage file
  explained oci-serve
  [[ $stderr == *file* ]]
}

@test "settings: a flag precedes the environment, which precedes the file" {
  run -0 bundle-version "$SAMPLE/bundle.tgz"
  [[ $output == '{"kind":"version"'* ]]
  echo 'format {{.name}}' >file
  run -0 bundle-version --config file "$SAMPLE/bundle.tgz"
  [ "$output" = k0rdent-enterprise ]
  export BUNDLE_VERSION_FORMAT='{{.version}}'
  run -0 bundle-version --config file "$SAMPLE/bundle.tgz"
  [ "$output" = 1.2.3 ]
  run -0 bundle-version --config file --format '{{.entry}}' "$SAMPLE/bundle.tgz"
  [ "$output" = charts/k0rdent-enterprise_1.2.3.tar ]
}

@test "settings: a whole push from the environment, a whole server from a file" {
  printf '# our registry\nstorage = elsewhere\n' >serve.conf
  serve --config serve.conf --storage elsewhere
  bundle-ls "$SAMPLE/bundle.tgz" | OCI_PUSH_TO=$registry OCI_PUSH_QUIET=true oci-push >/dev/null
  audit elsewhere >/dev/null
  same "$(expected)" "$(published)"
}

@test "settings: a wrong variable or line is misuse, and the error names it" {
  BUNDLE_LS_FORMAT='{{' run -2 --separate-stderr bundle-ls "$SAMPLE/bundle.tgz"
  explained bundle-ls
  [[ $stderr == *BUNDLE_LS_FORMAT* ]]
  printf '\nno-such-name value\n' >file
  run -2 --separate-stderr bundle-ls --config file "$SAMPLE/bundle.tgz"
  explained bundle-ls
  [[ $stderr == *no-such-name* ]]
}
