#!/usr/bin/env bats
# What a person sees on a real terminal.
# shellcheck disable=SC2154 # registry is set by serve

load lib/helper
load lib/window

size='[0-9.]+ [kMGT]?B'
times='([0-9hms]+, )?[0-9hms]+ left'
wide="verifying $size/1\\.0 TB +[0-9]+% \\|[█ ]+\\| \\($size/s\\) $times"

@test "terminal: the bar fits at 80 and at 40 columns, and when the window changes" {
  truncate -s 1TB bundle.tar
  window 80 "bundle-verify --digest sha256:$(printf %064d 0) bundle.tar"
  shows begin "$wide"
  resize 40
  shows begin " *[0-9]+% \\|[█ ]*\\| \\($size/s\\) $times"
  resize 20
  shows begin " *[0-9]+% \\|[█ ]*\\|.*"
  resize 120
  shows begin "$wide"
  "${tmux[@]}" send-keys C-c
  shows begin 'bundle-verify: interrupted' 'end 130'
}

@test "terminal: oci-serve --passwd asks twice, shows nothing, and a running registry accepts the password" {
  need crane skopeo
  window 80 'oci-serve --htpasswd users --passwd alice --format "{{.url}}"'
  shows begin 'New password for alice:'
  "${tmux[@]}" send-keys 'wonder land' Enter
  shows begin 'New password for alice:' 'New password for alice again:'
  "${tmux[@]}" send-keys 'wonder land' Enter
  shows begin 'New password for alice:' 'New password for alice again:' 'end 0'
  [ "$(stat -c %a users)" = 600 ]
  serve --tls auto --htpasswd users --read auth
  export HOME=$PWD SSL_CERT_FILE=$PWD/storage/tls/ca.pem
  crane auth login "$registry" -u alice -p 'wonder land'
  [ "$(crane catalog "$registry")" = '' ]
  # A running registry notices a change, and rejects the old password.
  stop "${servers[0]}"
  window 80 'oci-serve --htpasswd users --passwd alice --format "{{.url}}"'
  shows begin 'New password for alice:'
  "${tmux[@]}" send-keys 'looking glass' Enter
  shows begin 'New password for alice:' 'New password for alice again:'
  "${tmux[@]}" send-keys 'looking glass' Enter
  shows begin 'New password for alice:' 'New password for alice again:' 'end 0'
  sleep 1.1 # the file is checked once a second
  mkdir certs
  cp "$SSL_CERT_FILE" certs/ca.crt
  skopeo login --cert-dir certs --authfile auth.json -u alice -p 'looking glass' "$registry"
  run ! crane catalog "$registry"
}

@test "terminal: oci-serve --passwd changes nothing if the passwords differ, or after ^C, and the terminal shows typing again" {
  window 80 'oci-serve --htpasswd users --passwd alice; echo code $?; oci-serve --htpasswd users --passwd alice'
  shows begin 'New password for alice:'
  "${tmux[@]}" send-keys 'one' Enter 'two' Enter
  shows begin 'New password for alice:' 'New password for alice again:' 'oci-serve: the two passwords differ' 'hint: .*' 'code 1' 'New password for alice:'
  "${tmux[@]}" send-keys C-c
  shows begin 'New password for alice:' 'New password for alice again:' 'oci-serve: the two passwords differ' 'hint: .*' 'code 1' 'New password for alice:' 'oci-serve: interrupted' 'end 130'
  "${tmux[@]}" send-keys visible
  shows begin 'New password for alice:' 'New password for alice again:' 'oci-serve: the two passwords differ' 'hint: .*' 'code 1' 'New password for alice:' 'oci-serve: interrupted' 'end 130' visible
  [ ! -e users ]
}

@test "terminal: the bar of a stream of unknown length fits too, and is cleared for records" {
  local rest
  mkfifo input
  window 40 'bundle-ls --format "{{.kind}}" - <input'
  exec {rest}>input # once the other side is there, too
  head -c 20000000 "$SAMPLE/large.tar" >&"$rest"
  shows begin '(image|skipped)(.image|.skipped)*' ". .*[0-9]+ [^ ]+ +$size \\($size/s\\) [0-9hms]+"
  resize 30
  shows begin '(image|skipped)(.image|.skipped)*' ". +$size \\($size/s\\) [0-9hms]+"
  tail -c +20000001 "$SAMPLE/large.tar" >&"$rest"
  exec {rest}>&-
  shows begin '(image|skipped)(.image|.skipped)*' 'end 0'
}

@test "terminal: the bar is cleared when the reader of the records exits" {
  local rest
  serve
  mkfifo input go
  window 80 "bash -c 'oci-push --to $registry - <input | { read -r _; read -r _ <go; }; echo status \${PIPESTATUS[0]}'"
  exec {rest}>input
  head -c 20000000 "$SAMPLE/large.tar" >&"$rest"
  shows begin ".*[0-9]+ [^ ]+ +$size \\(.*"
  echo >go
  tail -c +20000001 "$SAMPLE/large.tar" >&"$rest" || true # it may be gone by then
  exec {rest}>&-
  shows begin 'status 141' 'end 0'
}

@test "terminal: control-C before tee leaves a clean line with the state of the registry" {
  local rest
  serve
  mkfifo input
  # A shell that has caught the signal does not end, whichever of the two is the last to do so.
  window 120 "bash -c 'trap : INT; oci-push --to $registry - <input | tee log >/dev/null; echo status \${PIPESTATUS[0]}'"
  exec {rest}>input
  head -c 20000000 "$SAMPLE/large.tar" >&"$rest"
  shows begin ".*[0-9]+ [^ ]+ +$size \\(.*"
  "${tmux[@]}" send-keys C-c
  shows begin '(\^C)?oci-push: interrupted; [0-9]+ images are in the registry; the same command sends the rest' 'status 130' 'end 0'
}

@test "terminal: an interrupted push reports how many images are in the registry, and no failures" {
  local rest
  serve
  mkfifo input
  window 120 "oci-push --to $registry - <input >pushed"
  exec {rest}>input
  head -c 20000000 "$SAMPLE/large.tar" >&"$rest"
  shows begin ".*[0-9]+ [^ ]+ +$size \\(.*"
  "${tmux[@]}" send-keys C-c
  shows begin '(\^C)?oci-push: interrupted; [0-9]+ images are in the registry; the same command sends the rest' 'end 130'
  jq -se '.[-1].kind == "summary"' pushed
}

@test "terminal: a message clears the bar of another tool" {
  truncate -s 1TB bundle.tar
  mkfifo go
  window 120 "bundle-verify --digest sha256:$(printf %064d 0) bundle.tar & read -r _ <go; bundle-version absent; kill \$!; wait"
  shows begin "$wide"
  echo >go
  shows begin 'bundle-version: [^|]*absent: no such file or directory' 'bundle-verify: interrupted' 'end 0'
}

@test "terminal: while oci-push waits for records, the bar says so and shows no time left" {
  local rest
  serve
  mkfifo input
  bundle-ls --quiet "$SAMPLE/large.tar" >list
  window 80 "oci-push --to $registry <input >/dev/null"
  exec {rest}>input
  head -n 5 list >&"$rest"
  shows begin "pushing $size/$size, waiting for records"
  tail -n +6 list >&"$rest"
  exec {rest}>&-
  shows begin 'oci-push: 63 pushed; 2 skipped; .*' 'end 0'
  same "$(expected "$SAMPLE/large.json")" "$(published)"
}

@test "terminal: a dumb terminal gets a line per item, and no cursor movement" {
  need script
  serve
  TERM=dumb script -qec "oci-push --to $registry --format '{{.status}}' '$SAMPLE/bundle.tgz' >/dev/null" /dev/null >raw
  same '' "$(tr -d '[:print:]\r\n' <raw)"
  [ "$(grep -cE "^\[[0-9]+\] [^ ]+:[^ ]+ pushed $size" raw)" = "$(wc -l < <(expected))" ]
}

@test "terminal: oci-serve --purge asks, and control-C declines" {
  local answer
  mkdir -p storage
  oci-serve --storage storage --port 0 >record 3>&- &
  servers+=($!)
  until [ -s record ]; do sleep 0.02; done
  stop "${servers[-1]}"
  for answer in no C-c yes; do
    window 120 "oci-serve --purge --storage $PWD/storage"
    shows begin 'oci-serve: remove the storage /.*/storage with 0 B of blobs\? \[yes/no\]'
    "${tmux[@]}" send-keys "$answer"
    [ $answer = C-c ] || "${tmux[@]}" send-keys Enter
    case $answer in
    no) shows begin 'oci-serve: remove .*no' 'oci-serve: not confirmed: nothing is removed' 'hint: answer yes, or give --yes' 'end 1' ;;
    C-c) shows begin 'oci-serve: remove .*\^C' 'oci-serve: interrupted' 'end 130' ;;
    yes) shows begin 'oci-serve: remove .*yes' 'oci-serve: 0 removed in .*' 'end 0' ;;
    esac
    [ -d storage ] || [ $answer = yes ]
    "${tmux[@]}" kill-server
  done
  [ ! -e storage ]
}
