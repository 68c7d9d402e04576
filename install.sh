#!/bin/sh
# Takes a host from the vendor's bundle to a running platform. Each step is one or
# two of the tools, and what --plan prints is what a run does, line by line. Every
# step can be run again, and does what is left to do. k0rdent-airgap(7) is the
# guide.
#
# It needs the tools beside it (or on the PATH), a POSIX shell, coreutils, awk,
# cmp, find, grep, sed, tar, and setsid where there is no systemd: every Linux
# system has them.
set -eu
umask 022 # whatever root has: what lies open to others is not to be trusted

usage() {
  cat <<'END'
usage: install.sh --bundle FILE --key FILE [flags] [-- FLAGS OF k0s-up AND k0rdent-install]
       install.sh --export-worker|--export-controller FILE.tar.gz
       install.sh --worker|--controller ARCHIVE --digest DIGEST [--plan]
       install.sh --uninstall [--purge]

Take this host from the vendor's bundle to a cluster on which k0rdent is ready,
without the internet. The steps, in this order:

  check     bundle, signature, key, tools and disk space
  tools     the tools and the registry's unit into their places
  version   which release the bundle holds
  serve     the site's registry: oci-serve, with a certificate of its own
  push      the bundle into it; nothing is published before it is verified
  k0s       k0s out of it onto this host, and for child clusters
  mirror    containerd pulls from the site's registry only
  install   k0s is started, k0rdent is installed and gets ready

  --bundle FILE         the vendor's airgap-bundle-VERSION.tar.gz
  --key FILE            the vendor's public key
  --signature FILE      its signature (default FILE.sig beside the bundle)
  --no-verify           use the bundle unverified
  --host-address IP     the address of this host for other nodes and pods
                        (default: its only one)
  --external-registry HOST[:PORT][/PREFIX]
                        push to this registry instead of serving one; "none"
                        serves one after all
  --ca FILE             authorities of the external registry's certificate
  --username NAME       log in to the external registry
  --password-file FILE  with the password in FILE
  --from STEP           begin at a step
  --only STEP           do this step alone
  --plan                print the commands of each step, which can be pasted, and
                        change nothing
  --log FILE            records of all that was done
                        (default /var/log/k0rdent-airgap/install.ndjson)

  --export-worker FILE, --export-controller FILE
                        pack all that a further host needs to join the cluster of
                        this one, its token included
  --worker ARCHIVE, --controller ARCHIVE
                        make this host a node, with what was packed
  --digest DIGEST       the archive's digest, as it was printed
  --uninstall           remove k0rdent, k0s and the registry
  --purge               also remove the registry's content and the log
  --yes                 do not ask before --uninstall
  --last-controller     with --uninstall: continue even if it is unknown whether
                        the cluster has other controllers; they are lost for good
  --help                print this text
  --version             print the version

The registry's address is remembered on this host. On a host with the internet,
download.sh gets the bundle, its signature and the key.

Variables: K0RDENTD_AIRGAP_BUNDLE_PATH for --bundle, K0RDENT_COSIGN_KEY for
--key, K0RDENTD_VERIFY_SIGNATURE=false for --no-verify, and for the registry
K0RDENTD_REGISTRY_HOST (0.0.0.0), K0RDENTD_REGISTRY_PORT (5000) and
K0RDENTD_REGISTRY_STORAGE (/var/lib/k0rdentd/registry).
Exit codes: 0 done, 1 failed, 2 misuse, 75 try again, 130 interrupted.
END
}

bin=/usr/local/bin
state=/var/lib/k0rdentd/install # what one run leaves to the next, for root alone
run=/run/k0rdent-airgap
units=/etc/systemd/system
settings=/etc/k0rdent-airgap/oci-serve.env
own=/var/lib/k0rdentd/registry # where the service may write by itself
prefix=k0rdent-enterprise
tools='bundle-verify bundle-version bundle-ls oci-serve oci-push k0s-extract k0s-mirror-config k0s-up k0rdent-install'
packed='k0s-extract k0s-mirror-config k0s-up' # for a further host, and k0s
steps='check tools version serve push k0s mirror install'

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
PATH=$here/bin:$PATH:$bin

bundle=${K0RDENTD_AIRGAP_BUNDLE_PATH-} key=${K0RDENT_COSIGN_KEY-} signature='' verify=yes
listen=${K0RDENTD_REGISTRY_HOST-} port=${K0RDENTD_REGISTRY_PORT-} storage=${K0RDENTD_REGISTRY_STORAGE-} log=''
address='' external='' ca='' username='' password=''
mode=install first='' only='' plan='' archive='' digest='' purge='' yes='' last='' stays='' kept=''
through='/^\{"kind":"(image|bundle|version)"|"tool":"oci-push"/d' # what the log has from the push
filling='' before=0 room='' restart='' work='' step='' back='' error='' authority=''

say() { printf 'install.sh: %s\n' "$*" >&2; }

# fail TEXT [HINT [CODE]]
fail() {
  error=$1
  say "$1"
  [ -z "${2-}" ] || printf 'hint: %s\n' "$2" >&2
  exit "${3-1}"
}

misuse() { fail "$1" "${2-install.sh --help lists the flags}" 2; }

# json TEXT: as a JSON string.
json() { printf '"%s"' "$(printf %s "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/["\\]/\\&/g')"; }

# note STATUS: the record of the step, into the log.
note() {
  printf '{"kind":"step","by":"install.sh","name":"%s","status":"%s","seconds":%s,"time":"%s"%s}\n' \
    "$step" "$1" $(($(date +%s) - begun)) "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${error:+,\"error\":$(json "$error")}" >>"$log"
}

# quote WORD…: as a shell reads them.
quote() {
  line=''
  for word; do
    case $word in '' | *[!A-Za-z0-9_./:@%+=,-]*)
      word=$(printf '%s.' "$word" | sed "s/'/'\\\\''/g")
      word="'${word%.}'"
      ;;
    esac
    line="$line${line:+ }$word"
  done
  printf %s "$line"
}

# run LINE [> FILE | >> FILE]: a line of shell, and where its records go; with ">"
# the file is replaced when the line has succeeded. A plan prints it; otherwise a
# shell of its own runs it, as if it had been pasted, and the log has the records
# as they come, but for those of the push that only pass through.
run() {
  into=''
  case ${2-} in
  '>') into=" >$(quote "$3.new") && $(quote mv -f "$3.new" "$3")" ;;
  '>>') into=" >>$(quote "$3")" ;;
  esac
  if [ -n "$plan" ]; then
    printf '%s\n' "$1$into"
    return
  fi
  out=${3-/dev/null}
  [ "${2-}" != '>' ] || { out=$3.new && rm -f -- "$out"; }
  rm -f -- "$work/code" "$work/pid"
  # shellcheck disable=SC2016 # for the inner shell
  {
    {
      code=0
      sh -c 'echo $$ >"$0" && exec sh -c "$1"' "$work/pid" "$1" </dev/null || code=$?
      echo $code >"$work/code"
    } | sed -uE "$through" | tee -a -- "$out" >>"$log"
  } &
  wait $! || fail "the records of step $step cannot be written to $log"
  code=$(cat "$work/code")
  [ "$code" = 0 ] || return "$code"
  [ "${2-}" != '>' ] || mv -f -- "$out" "$3"
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
    --bundle | --key | --signature | --host-address | --external-registry | --ca | --username | --password-file | --from | --only | --log | \
      --worker | --controller | --digest | --export-worker | --export-controller)
      [ -n "${2-}" ] || misuse "$1 requires a value"
      value "$1" "$2"
      shift
      ;;
    --no-verify) verify='' ;;
    --plan) plan=yes ;;
    --uninstall) as uninstall "$1" ;;
    --purge) purge=yes ;;
    --yes) yes=yes ;;
    --last-controller) last=yes ;;
    --help | -h)
      usage
      exit
      ;;
    --version)
      oci-push --version | sed 's/^oci-push/install.sh/'
      exit
      ;;
    --)
      shift
      break
      ;;
    -*) misuse "unknown flag $1" 'install.sh --help lists the flags; those of k0s-up and k0rdent-install come after --' ;;
    *) misuse "unexpected argument \"$1\"" "name the bundle with --bundle $1; install.sh --help lists the flags" ;;
    esac
    shift
  done
  rest=$#
}

value() {
  case $1 in
  --bundle) bundle=$(absolute "$2") ;;
  --key) case $2 in *://*) key=$2 ;; *) key=$(absolute "$2") ;; esac ;;
  --signature) signature=$(absolute "$2") ;;
  --host-address) address=$2 ;;
  --external-registry) external=${2%/} ;;
  --ca) ca=$(absolute "$2") ;;
  --username) username=$2 ;;
  --password-file) password=$(absolute "$2") ;;
  --log) log=$(absolute "$2") ;;
  --worker | --controller | --export-worker | --export-controller) as "${1#--}" "$1" && archive=$(absolute "$2") ;;
  --digest) digest=$2 ;;
  --from | --only)
    case " $steps " in *" $2 "*) ;; *) misuse "$1 $2: no such step" "the steps are: $steps" ;; esac
    if [ "$1" = --from ]; then first=$2; else only=$2; fi
    ;;
  esac
}

# as MODE FLAG: what is asked for, once.
as() {
  [ "$mode" = install ] || misuse "$2 and --$mode are mutually exclusive"
  mode=$1
}

absolute() { case $1 in /*) printf %s "$1" ;; *) printf %s "$PWD/$1" ;; esac; }

# check_flags refuses what contradicts itself.
check_flags() {
  case ${K0RDENTD_VERIFY_SIGNATURE:-true} in
  true | True | TRUE | t | T | 1) ;;
  false | False | FALSE | f | F | 0) verify='' ;;
  *) misuse "K0RDENTD_VERIFY_SIGNATURE=$K0RDENTD_VERIFY_SIGNATURE: must be true or false" ;;
  esac
  [ -z "$purge" ] || [ "$mode" = uninstall ] || misuse '--purge requires --uninstall'
  case ${digest:+$mode} in '' | worker | controller) ;; *) misuse '--digest requires --worker or --controller' ;; esac
  [ -z "$last" ] || [ "$mode" = uninstall ] || misuse '--last-controller requires --uninstall'
  [ -z "$first" ] || [ -z "$only" ] || misuse '--from and --only are mutually exclusive'
  # What one mode leaves alone could be meant to make it harmless.
  if [ "$mode" != install ]; then
    [ -z "$first$only" ] || misuse "--from and --only cannot be combined with --$mode"
    [ "$rest" = 0 ] || misuse "no flags are allowed after -- with --$mode" "put --plan before -- to see what would be done"
  fi
  [ "${username:+x}" = "${password:+x}" ] || misuse '--username and --password-file require each other'
}

# recall fills in what was not said: as in the last run on this host, or else as
# usual.
recall() {
  [ ! -r $state/site ] || while IFS='=' read -r name was; do
    case $name in
    listen) listen=${listen:-$was} ;;
    port) port=${port:-$was} ;;
    storage) storage=${storage:-$was} ;;
    address) address=${address:-$was} ;;
    external) external=${external:-$was} ;;
    ca) ca=${ca:-$was} ;;
    username) username=${username:-$was} ;;
    password) password=${password:-$was} ;;
    log) log=${log:-$was} ;;
    filling) filling=$was ;; # the bundle that was pushed last, and what was there before
    before) before=$was ;;
    esac
  done <$state/site
  [ "$external" != none ] || external='' ca='' username='' password=''
  [ -n "$external" ] || [ -z "$ca$username" ] || misuse '--ca, --username and --password-file require --external-registry'
  listen=${listen:-0.0.0.0} port=${port:-5000} storage=$(absolute "${storage:-$own}") log=${log:-/var/log/k0rdent-airgap/install.ndjson}
  case $storage/ in *[!A-Za-z0-9/._-]* | */../*) misuse "K0RDENTD_REGISTRY_STORAGE=$storage: must be a path of letters, digits and ._-" ;; esac
  [ -z "$bundle" ] || bundle=$(absolute "$bundle")
  # All of the storage is given to the registry's user, by whichever name.
  real=$(readlink -m -- "$storage")
  case $state/ in "${real%/}"/*) misuse "K0RDENTD_REGISTRY_STORAGE=$storage: must not contain $state, which is for root alone" ;; esac
  case $real/ in $state/*) misuse "K0RDENTD_REGISTRY_STORAGE=$storage: must not lie in $state, which is for root alone" ;; esac
  case $port in 0* | *[!0-9]* | ??????*) port=0 ;; esac
  { [ "$port" -ge 1 ] && [ "$port" -le 65535 ]; } || misuse "invalid K0RDENTD_REGISTRY_PORT=${K0RDENTD_REGISTRY_PORT-}: must be a number from 1 to 65535"
}

systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }

root() { [ "$(id -u)" = 0 ] || fail 'this requires root' 'run it with sudo'; }

# addresses lists this host's own, from the kernel's table: ip(8) may be missing.
addresses() {
  awk '/32 host LOCAL/ {print last} {last = $2}' /proc/net/fib_trie | sort -u | grep -v '^127\.' || true
}

# site finds where the registry is: for this host (near), and for nodes and pods
# (far).
site() {
  if [ -n "$external" ]; then
    # oci-push has the last word.
    case ${external%%/*} in '' | *[!A-Za-z0-9.:[]-]* | [.:]* | *:) external_form ;; esac
    case ${external#"${external%%/*}"} in *[!a-z0-9._/-]* | *//*) external_form ;; esac
    for file in "$ca" "$password"; do [ -z "$file" ] || [ -r "$file" ] || fail "$file cannot be read"; done
    near=$external far=$external authority=$ca
    return
  fi
  named='name the one that nodes and pods can reach with --host-address'
  [ "$listen" != :: ] || misuse 'K0RDENTD_REGISTRY_HOST=::: not an address that clients of IPv4 reach on every host' 'use 0.0.0.0 for all addresses, or one of this host'
  if [ -z "$address" ]; then
    address=$listen
    [ "$listen" != 0.0.0.0 ] || address=$(addresses)
    case $address in
    '') misuse 'this host has no address' "$named" ;;
    *'
'*) misuse "this host has several addresses: $(printf %s "$address" | tr '\n' ' ')" "$named" ;;
    esac
  fi
  # It goes into certificates and notes, where a mistake would last.
  printf '%s\n' "$address" | awk -F. '/:/ {exit /[^0-9a-fA-F:.]/} NF != 4 || /[^0-9.]/ {exit 1} {for (i = 1; i <= 4; i++) if ($i == "" || $i > 255) exit 1}' ||
    misuse "$address is not the address of a host" "$named"
  case $address in 127.* | ::1) misuse "$address is this host for this host only" "$named" ;; esac
  host=$address
  case $host in *:*) host="[$host]" ;; esac
  near=127.0.0.1:$port/$prefix far=$host:$port/$prefix authority=$storage/tls/ca.pem
}

external_form() { misuse "invalid --external-registry \"$external\": must be HOST[:PORT][/PREFIX]"; }

# with TOOL ARGUMENT…: the command with what it takes to speak to the registry.
with() {
  tool=$1
  shift
  [ -z "$username" ] || set -- --username "$username" --password-file "$password" "$@"
  [ -z "$authority" ] || set -- --ca "$authority" "$@"
  quote "$tool" "$@"
}

# inputs looks whether the bundle and what it is verified with are there.
inputs() {
  [ -n "$bundle" ] || misuse 'no bundle given' "name it with --bundle${filling:+; the last one was ${filling% *}}"
  [ -r "$bundle" ] || fail "$bundle cannot be read"
  if [ -z "$verify" ]; then
    say 'WARNING: the bundle is used UNVERIFIED; anyone who could change it on its way here controls this site'
    return
  fi
  [ -n "$key" ] || misuse 'no key given' 'name the public key of the vendor with --key, or use the bundle unverified with --no-verify'
  case $key in *://*) ;; *) [ -r "$key" ] || fail "$key cannot be read" ;; esac
  [ ! -d "$bundle" ] || fail "$bundle is a directory, which no signature is for" 'name the file that it was unpacked from, or use --no-verify'
  for s in "${signature:-$bundle.sig}" "${signature:-$bundle.sigstore.json}"; do [ ! -r "$s" ] || return 0; done
  fail "${signature:-$bundle.sig} cannot be read" 'carry the signature in beside the bundle; download.sh gets both'
}

# present TOOL…: they are there.
present() {
  for tool; do
    command -v "$tool" >/dev/null || fail "$tool is not there" 'unpack the whole release archive, and run the install.sh in it'
  done
  "$1" --version >/dev/null 2>&1 || fail "the tools do not run on this $(uname -m)" 'use the release archive that is for it'
}

# step_check compares the disk, too, with what will lie there: the registry has
# each blob once, so not more than the bundle, which does not shrink any more. What
# it has of this bundle already is not counted again.
step_check() {
  # shellcheck disable=SC2086 # words
  present $tools
  inputs
  [ -z "$external" ] || return 0
  dir=$storage
  while [ ! -d "$dir" ]; do dir=$(dirname -- "$dir"); done
  need=$(($(size "$bundle") * 105 / 100))
  [ "$filling" != "$bundle $(size "$bundle")" ] || need=$((need + before - $(size "$storage/blobs")))
  free=$(df -Pk -- "$dir" | awk 'NR == 2 {print $4}')
  text="the bundle's content needs $(mb "$need") in $storage, where $(mb "$free") are free"
  [ "$free" -ge "$need" ] || fail "$text" 'make room, or name another place with K0RDENTD_REGISTRY_STORAGE'
  [ -z "$plan" ] || echo "# $text"
}

# size FILE|DIR: in KiB; 0 of nothing.
size() {
  if [ -f "$1" ]; then
    echo $((($(stat -Lc %s -- "$1") + 1023) / 1024))
  else
    { du -sk -- "$1" 2>/dev/null || echo 0; } | awk 'END {print $1}'
  fi
}

# mb KIB: in the units that the tools print.
mb() { awk -v n="$1" 'BEGIN { n *= 1024; if (n < 1e9) printf "%.1f MB\n", n / 1e6; else printf "%.1f GB\n", n / 1e9 }'; }

# ours FILE: notes, before it is made, what --uninstall removes.
ours() { grep -qxF -- "$1" $state/files 2>/dev/null || run "$(quote printf '%s\n' "$1") >>$state/files"; }

# put FILE PLACE MODE [restart]: as a whole, and only if it differs. With restart,
# the registry has to be started again for it.
put() {
  if cmp -s -- "$1" "$2"; then return 0; fi
  ours "$2"
  renewed "${4-}"
  run "$(quote install -D -m "$3" "$1" "$2.new") && $(quote mv -f "$2.new" "$2")"
}

# write PLACE LINE…: the same of lines.
write() {
  place=$1
  shift
  if printf '%s\n' "$@" | cmp -s - "$place"; then return 1; fi
  run "$(quote mkdir -p "$(dirname "$place")") && $(quote printf '%s\n' "$@") >$(quote "$place.new") && $(quote mv -f "$place.new" "$place")"
}

renewed() {
  [ "$1" = restart ] && [ -z "$restart" ] || return 0
  restart=yes
  run ": >$state/restart"
}

step_tools() {
  if [ -x "$here/bin/oci-serve" ]; then
    for tool in $tools; do
      how=''
      [ "$tool" != oci-serve ] || how=restart
      put "$here/bin/$tool" "$bin/$tool" 755 $how
    done
    put "$here/install.sh" "$bin/k0rdent-airgap-install" 755
  fi
  if ! systemd || [ -n "$external" ]; then return 0; fi
  # A package brings its unit itself.
  case $(systemctl show --value -p FragmentPath oci-serve.service) in
  '' | "$units/oci-serve.service") ;;
  *) return 0 ;;
  esac
  source=$here/systemd
  [ -d "$source" ] || source=$here/lib/systemd
  [ -f "$source/oci-serve.service" ] || fail 'oci-serve.service is not there' 'unpack the whole release archive, and run the install.sh in it'
  put "$source/oci-serve.service" "$units/oci-serve.service" 644 restart
  put "$source/oci-serve.sysusers" /etc/sysusers.d/oci-serve.conf 644
  [ -e $settings ] || put "$source/oci-serve.env" $settings 644 # it is the operator's from then on
  id oci-serve >/dev/null 2>&1 || ours user/oci-serve
  run 'systemd-sysusers /etc/sysusers.d/oci-serve.conf'
}

step_version() {
  [ -n "$bundle" ] || inputs
  set -- bundle-version --quiet --format 'release {{.version}}, not verified yet' "$bundle"
  if [ -n "$plan" ]; then
    text=$("$@") || exit
    echo "# $text"
  fi
  run "$(quote "$@") >&2"
}

# step_serve starts the registry, or leaves the one that runs as it is.
step_serve() {
  if [ -n "$external" ]; then
    [ -z "$plan" ] || echo "# nothing: $external serves"
    return 0
  fi
  # Only what is empty, or a registry's, becomes the registry's own.
  [ ! -d "$storage" ] || [ -d "$storage/blobs" ] || [ -z "$(find "$storage/" -mindepth 1 ! -name lost+found | head -n 1)" ] ||
    fail "$storage has other things in it" 'name a directory that is empty'
  if systemd; then serve_unit; else serve_alone; fi
}

# serve_unit: what the operator says in the environment file comes after this.
serve_unit() {
  set -- '[Service]' 'Environment="OCI_SERVE_TLS=auto"' "Environment=\"OCI_SERVE_TLS_NAME=$address\"" "Environment=\"OCI_SERVE_HOST=$listen\"" \
    "Environment=\"OCI_SERVE_PORT=$port\"" "Environment=\"OCI_SERVE_STORAGE=$storage\""
  [ "$storage" = $own ] || set -- "$@" "ReadWritePaths=$storage"
  conf=$units/oci-serve.service.d/site.conf
  printf '%s\n' "$@" | cmp -s - $conf || { ours $conf && renewed restart; }
  write $conf "$@" || true
  if [ "$storage" != $own ] && [ "$(stat -c %U "$storage" 2>/dev/null)" != oci-serve ]; then
    run "$(quote mkdir -p "$storage") && $(quote chown -hR oci-serve: "$storage")"
  fi
  run 'systemctl daemon-reload && systemctl enable --quiet oci-serve.service'
  how=start
  [ -z "$restart" ] || how=restart
  if ! run "systemctl $how oci-serve.service"; then # it is ready when that returns
    pid=$(systemctl show --value -p ExecMainPID oci-serve.service)
    for try in 1 2 3 4 5; do # the journal may be behind
      ! journalctl -q "_PID=$pid" -n 2 -o cat --no-pager | grep . >"$work/why" || break
      sleep "0.$try"
    done
    not_started "$(systemctl show --value -p ExecMainStatus oci-serve.service)"
  fi
  [ -z "$restart" ] || run "rm -f $state/restart"
}

# not_started CODE: oci-serve has ended, and its words are in "why". If another
# program has the port, root can find out which, where the service cannot.
not_started() {
  inode=''
  [ "$1" != 75 ] || inode=$(awk -v at=":$(printf %04X "$port")" '$4 == "0A" && substr($2, length($2) - 4) == at {print $10; exit}' /proc/net/tcp /proc/net/tcp6 2>/dev/null || true)
  if [ -z "$inode" ]; then
    cat "$work/why" >&2
    fail 'oci-serve does not start' '' "$(($1 == 75 ? 75 : 1))"
  fi
  who='another program'
  for process in /proc/[0-9]*; do
    # shellcheck disable=SC2010 # for where the links lead
    if ls -l "$process/fd" 2>/dev/null | grep -qF "socket:[$inode]"; then who="$(cat "$process/comm") (process ${process#/proc/})"; fi
  done
  fail "port $port is in use by $who" 'stop that program, or set K0RDENTD_REGISTRY_PORT to another port' 75
}

# serve_alone: without systemd, oci-serve runs in the background, as the user who
# began, until the host is shut down. In a session of its own, an interrupt of this
# script is none of its business.
serve_alone() {
  errors=$(dirname -- "$log")/oci-serve.log
  program=$bin/oci-serve # which stays when what was carried in goes
  [ -x "$program" ] || [ -n "$plan" ] || program=$(command -v oci-serve)
  set -- "$program" --host "$listen" --port "$port" --storage "$storage" --tls auto --tls-name "$address"
  if alone && [ -z "$restart" ] && printf '%s\0' "$@" | cmp -s - "/proc/$pid/cmdline"; then return 0; fi
  stop_alone
  run "$(quote mkdir -p $run "$storage") && rm -f $run/oci-serve.record $run/oci-serve.pid"
  # shellcheck disable=SC2016 # for the inner shell
  run "$(quote setsid sh -c 'echo $$ >"$0/oci-serve.pid"; exec "$@" >"$0/oci-serve.record"' $run "$@") 2>>$(quote "$errors") &"
  if [ -n "$plan" ]; then
    run "until [ -s $run/oci-serve.record ]; do sleep 0.1; done; rm -f $state/restart"
    return
  fi
  until [ -s $run/oci-serve.record ]; do # it accepts connections
    sleep 0.1
    if [ -s $run/oci-serve.pid ] && ! alone && [ ! -s $run/oci-serve.record ]; then
      tail -n 2 "$errors" >"$work/why"
      code=1
      ! grep -q 'in use' "$work/why" || code=75
      not_started $code
    fi
  done
  cat $run/oci-serve.record >>"$log"
  [ -z "$restart" ] || run "rm -f $state/restart"
  say 'there is no systemd here: after each start of this host, install.sh --only serve starts the registry'
}

# alone: an oci-serve of ours runs, as process $pid.
alone() {
  [ -s $run/oci-serve.pid ] || return 1
  pid=$(cat $run/oci-serve.pid)
  case $(readlink "/proc/$pid/exe" || true) in */oci-serve* | */sh | */dash | */bash | */busybox) ;; *) return 1 ;; esac
}

# stop_alone ends it; transfers get their 30 seconds.
stop_alone() { ! alone || run "kill $pid && while [ -e /proc/$pid/exe ]; do sleep 0.1; done"; }

# step_push reads the bundle once, verifying and sending at the same time;
# oci-push publishes nothing before bundle-verify has said that it is good.
step_push() {
  inputs
  named="$bundle $(size "$bundle")"
  [ "$filling" = "$named" ] || filling=$named before=$(size "$storage/blobs")
  remember
  line="$(quote bundle-version --quiet "$bundle") && $(with oci-push --to "$near" "$bundle")"
  if [ -n "$verify" ]; then
    set -- bundle-verify --quiet --key "$key" "$bundle"
    [ -z "$signature" ] || set -- bundle-verify --quiet --key "$key" --signature "$signature" "$bundle"
    line="$(quote "$@") | bundle-version --quiet | $(with oci-push --to "$near" --verified-by - "$bundle")"
  fi
  code=0 all=$through through=''
  run "$line" '>' $state/pushed || code=$?
  through=$all
  [ "$code" != 0 ] || return 0
  bad=$(grep -m 1 '"signature":"bad"' $state/pushed.new || true)
  rm -f $state/pushed.new
  [ -z "$bad" ] || back=never
  [ -z "$bad" ] || fail "STOPPED: $bundle is NOT what the owner of $key signed; nothing of it was published"
  return "$code"
}

# pushed looks whether it is known what was pushed: nothing else is installed.
pushed() {
  [ -z "$plan" ] || return 0
  back=push
  [ -s $state/pushed ] || fail 'it is not known yet what the registry holds'
  [ "$(grep -c '^{"kind":"image",.*"tag":"[^"]*","digest":"sha256:' $state/pushed)" = "$(grep -c '"tag":"' $state/pushed)" ] ||
    fail "$state/pushed does not have the digest of every image"
  back=version
  grep -q '"repository":"k0sproject/k0s"' $state/pushed || fail 'the bundle holds no k0s' 'get a bundle that holds one'
  back=''
}

# step_k0s installs k0s from the registry, without reading 22 GB once more, and by
# the digests that were pushed: others may have moved the tags since.
step_k0s() {
  pushed
  line="grep '\"repository\":\"k0sproject/k0s\"' $state/pushed | "
  [ -n "$external" ] || run "$line$(with k0s-extract --quiet --from "$near" --name --to "$storage/k0s" -)" '>>' $state/made
  [ -e $bin/k0s ] || ours $bin/k0s
  run "$line$(with k0s-extract --from "$near" --to $bin/k0s -)" '>>' $state/made
}

step_mirror() { run "$(with k0s-mirror-config --mirror "https://$far" --k0s $bin/k0s) </dev/null" '>>' $state/made; }

# step_install hands on the release and the digests that were pushed, to which both
# tools hold the registry from then on. Both check everything before the host is
# changed.
step_install() {
  pushed
  [ -n "$plan" ] || : >>$state/made
  case " $* " in *' --plan '*) ;; *) both --plan --quiet "$@" ;; esac
  both "$@"
  [ -n "$plan" ] || [ ! -e ${state%/*}/install.json ] || rm -f $state/made # k0s-up has them in its own notes
}

# both FLAG…: the host, and then the platform on it.
both() {
  run "cat $state/pushed $state/made | $(with k0s-up --registry "$far" ${address:+--api-address "$address"})$(flags host "$@")" '>' $state/up
  run "{ cat $state/pushed && grep '^{\"kind\":\"cluster\"' $state/up; } | $(with k0rdent-install --registry "$far")$(flags platform "$@")"
}

# flags WHO FLAG…: those of the flags that the host's tool has, or the platform's.
flags() {
  who=$1 owner=both
  shift
  for arg; do
    case $arg in
    --plan | --quiet | --verbose | --upgrade | --ignore* | --timeout* | --config*) owner=both ;;
    --k0s-url*) owner=platform ;;
    --k0s* | --api-* | --san* | --network-provider* | --pod-cidr* | --service-cidr* | --storage-type* | --etcd-peer-address*) owner=host ;;
    -*) owner=platform ;;
    esac
    case $owner in both | "$who") printf ' %s' "$(quote "$arg")" ;; esac
  done
}

# walk does the steps that were asked for.
walk() {
  going=yes
  [ -z "$first" ] || going=''
  for name in $steps; do
    [ "$name" != "$first" ] || going=yes
    [ -z "$only" ] || going=''
    [ "$name" != "$only" ] || going=yes
    [ -z "$going" ] || timed "$name" "step_$name" "$@"
  done
}

# timed NAME COMMAND…: does a step, and leaves its record.
timed() {
  step=$1 back='' begun=$(date +%s)
  shift
  if [ -n "$plan" ]; then
    echo "# $step"
    "$@"
    return
  fi
  say "step $step"
  "$@"
  [ -z "$step" ] || note "done"
  step=''
}

# ended CODE is the end of every run. A step that was not done is in the log.
ended() {
  trap '' INT TERM
  rm -rf -- ${work:+"$work"} ${room:+"$room"}
  if [ -z "$step" ] || [ -n "$plan" ]; then return 0; fi
  note failed
  if [ "$1" = 130 ]; then
    say "interrupted in step $step after $(($(date +%s) - begun)) s; run the same command to continue where it stopped"
  elif [ "$mode" = install ] && [ "$1" != 2 ] && [ "$back" != never ]; then
    from=" and --from ${back:-$step}"
    [ "$step" != check ] && [ -z "$only" ] || from=''
    say "step $step failed; fix that, then resume with the same command$from"
  fi
}

# interrupted SIGNAL: a terminal sends SIGINT to the tools as well, which end then;
# SIGTERM comes here alone, and a tool may only be about to start.
interrupted() {
  trap '' INT TERM
  error=interrupted
  patience=0
  [ "$1" = TERM ] || patience=50
  while readlink "/proc/${!-none}/exe" >/dev/null; do
    if [ $patience -le 0 ] && [ -s "$work/pid" ]; then
      stop "$(cat "$work/pid")"
      patience=1000000 # the second signal would not let it end in order
    fi
    patience=$((patience - 1))
    sleep 0.1
  done
  exit 130
}

# stop PID: ends a process and what it has started.
stop() {
  # shellcheck disable=SC2013 # words
  for one in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do stop "$one"; done
  kill "$1" 2>/dev/null || true
}

# begin makes a place for scratch files, and the log, which is nobody else's.
begin() {
  trap 'ended $?' EXIT
  [ -z "$plan" ] || return 0
  guarded
  mkdir -p -- $run ${state%/*}
  [ -d $state ] || mkdir -m 700 -- $state
  work=$(mktemp -d $run/XXXXXX) || fail "no directory can be made in $run"
  [ ! -e $state/restart ] || restart=yes
  (umask 077 && mkdir -p -- "$(dirname -- "$log")" && : >>"$log")
  trap 'interrupted INT' INT
  trap 'interrupted TERM' TERM
}

# guarded refuses to work with notes that another user could have written, or
# a log that another user has linked to a file of the host.
guarded() {
  for dir in "${state%/*}" $state; do
    if [ -L "$dir" ] || [ -e "$dir" ]; then
      case $(stat -c '%u %A' -- "$dir") in
      0\ d????-??-?) ;;
      *) fail "$dir is not a directory that only root can change" "look at what is in it; chown root $dir and chmod 755 $dir if that is yours" ;;
      esac
    fi
  done
  for file in "$log" "$(dirname -- "$log")" "$(dirname -- "$log")/oci-serve.log"; do
    if [ -L "$file" ] && [ "$(stat -c %u -- "$file")" != 0 ]; then fail "$file is a symbolic link of another user" 'name another file with --log'; fi
  done
}

# remember leaves to the next run what this one was told.
remember() {
  write $state/site "listen=$listen" "port=$port" "storage=$storage" "address=$address" "external=$external" "ca=$ca" \
    "username=$username" "password=$password" "log=$log" "filling=$filling" "before=$before" || true
}

install() {
  [ -n "$plan" ] || root
  site
  begin
  [ -z "$external" ] || say "the registry is $external"
  if [ -n "$plan" ]; then
    run "umask 022; export $(quote PATH="$here/bin"):\$PATH"
    run "mkdir -p ${state%/*} $(quote "$(dirname -- "$(dirname -- "$log")")") && mkdir -p -m 700 $state $(quote "$(dirname -- "$log")")"
  fi
  remember
  walk "$@"
  if [ -n "$plan$only" ]; then return; fi
  case " $* " in
  *' --plan '*) say 'the registry is filled; the cluster was only planned: run the same command without -- --plan to install it' ;;
  *) say "done; every record is in $log" ;;
  esac
}

# join makes this host a node. Nothing in the archive is used before all of it is
# known to be what was packed, and nobody else can change it after that.
join() {
  [ -n "$plan" ] || root
  again="pack another with install.sh --export-$mode"
  [ ! -d "$archive" ] || fail "$archive is a directory" "name the file that install.sh --export-$mode wrote"
  [ -r "$archive" ] || fail "$archive cannot be read"
  begin
  room=$(mktemp -d) || fail "no directory can be made in ${TMPDIR:-/tmp}"
  cat -- "$archive" >"$room/archive" || fail "$archive cannot be copied to ${TMPDIR:-/tmp}" 'set TMPDIR to a directory with more room'
  authentic "$room/archive"
  mkdir "$room/node"
  tar xzf "$room/archive" -C "$room/node" 2>/dev/null || fail "$archive cannot be unpacked" "$again"
  rm -f "$room/archive"
  [ -z "$(find "$room/node" ! -type d ! -type f -o -type f -links +1)" ] || fail "$archive has links or devices in it" "$again"
  [ -f "$room/node/join.sh" ] || fail "$archive does not hold a join.sh" "$again"
  grep -qx "role=$mode" "$room/node/join.sh" || fail "$archive is not for a $mode" 'use it with the flag that install.sh printed when it was packed'
  if [ -n "$plan" ]; then
    code=0
    sh "$room/node/join.sh" --plan >"$room/planned" || code=$?
    sed -E "$through" "$room/planned"
    return "$code"
  fi
  timed "$mode" joined
  say "$archive holds a join token: remove it, or keep it where nobody else reads it"
}

# joined leaves the tools on the host with which --uninstall removes it later.
joined() {
  for tool in $packed; do put "$room/node/$tool" "$bin/$tool" 755; done
  put "$here/$(basename -- "$0")" $bin/k0rdent-airgap-install 755
  [ -e $bin/k0s ] || ours $bin/k0s
  run "$(quote sh "$room/node/join.sh")"
}

# authentic FILE: it has the digest that was printed when it was packed, which the
# operator carried here by a different route.
authentic() {
  if [ -z "$digest" ]; then
    [ -t 0 ] || misuse "the digest of $archive is needed: it holds programs that run as root" "run the command that install.sh --export-$mode printed: install.sh --$mode ARCHIVE --digest sha256:..."
    printf 'install.sh: the digest that --export-%s printed for %s: ' "$mode" "$archive" >&2
    read -r digest || digest=none
  fi
  want=$(printf %s "${digest#sha256:}" | tr A-F a-f)
  case $want in *[!0-9a-f]*) want='' ;; esac
  [ ${#want} = 64 ] || misuse "--digest $digest: must be sha256: and 64 hexadecimal digits" "install.sh --export-$mode prints it"
  has=$(sha256sum <"$1" | cut -c 1-64)
  [ "$has" = "$want" ] || fail "$archive has the digest sha256:$has, not sha256:$want" "copy it again; if that does not help, it was changed on the way: $again"
}

# export packs all that a further host needs: the tools and files with which the
# first one was made a node.
export_node() {
  role=${mode#export-}
  [ -n "$plan" ] || root
  site
  begin
  [ -z "$plan" ] || echo "# what is packed has a digest, which a run prints"
  timed "$mode" pack
  [ -z "$plan" ] || return 0
  say "carry $archive to the $role, to where nobody else can read it, and run there:"
  say "  install.sh --$role $(basename -- "$archive") --digest sha256:$(cut -c 1-64 <"$work/digest")"
  say 'the digest is what proves the archive: write it down, or send it by a different route'
}

# pack writes the archive by way of a directory that is root's: others may replace
# what lies elsewhere.
pack() {
  dir=$state/pack
  run "$(quote rm -rf $dir) && $(quote mkdir -m 700 $dir)"
  run "$(quote k0s-up --quiet --token "$role" --token-file $dir/token --k0s $bin/k0s) </dev/null"
  set -- k0s token join.sh records
  for file in $packed; do set -- "$@" "$file"; done
  line="$(quote cp $bin/k0s) $(for tool in $packed; do printf '%s ' "$(quote "$(command -v "$tool")")"; done)$dir/ && cat $state/pushed >$dir/records"
  [ -n "$plan" ] || [ -e $state/pushed ] || line=${line%&& *}"&& : >$dir/records"
  if [ -n "$authority" ]; then line="$line && $(quote cp "$authority" $dir/ca.pem)" && set -- "$@" ca.pem; fi
  if [ -n "$username" ]; then line="$line && $(quote cp "$password" $dir/password)" && set -- "$@" password; fi
  if [ "$role" = controller ]; then line="$line && cp /etc/k0s/k0s.yaml $dir/" && set -- "$@" k0s.yaml; fi
  run "$line"
  run "$(quote printf '%s\n' "$(join_script)") >$dir/join.sh"
  run "cd $dir && $(quote sha256sum "$@") >SHA256SUMS && $(quote tar --owner=0 --group=0 --numeric-owner -czf archive SHA256SUMS "$@")"
  [ -n "$plan" ] || sha256sum <$dir/archive >"$work/digest"
  run "$(quote install -m 600 $dir/archive "$archive.new") && $(quote mv -f "$archive.new" "$archive") && rm -rf $dir"
}

# join_script prints what makes the other host a node.
join_script() {
  login=${authority:+ --ca ca.pem}${username:+ $(quote --username "$username") --password-file password}
  cat <<END
#!/bin/sh
# Makes this host a $role of the cluster, with what lies beside this file; --plan
# shows how. Further flags are those of k0s-up. Run again, it does what is left.
set -eu
role=$role
cd -- "\$(dirname -- "\$0")"
sha256sum --check --quiet --strict --ignore-missing SHA256SUMS >&2 # a used token is gone
PATH=\$PWD:\$PATH k0s=$bin/k0s plan=''
case \${1-} in --plan)
  plan=--plan k0s=\$PWD/k0s
  export K0S_UP_IGNORE="\${K0S_UP_IGNORE:+\$K0S_UP_IGNORE,}mirror" # which a plan does not write
  shift
  ;;
esac
k0s-extract \$plan --from "\$PWD/k0s" </dev/null
END
  known=''
  [ "$role" = worker ] || known=' --k0s-yaml k0s.yaml'
  [ ! -e $state/pushed ] || known="$known --registry $far$login"
  cat <<END
k0s-mirror-config \$plan --mirror https://$far$login --k0s "\$k0s" </dev/null
k0s-up \$plan --join \$role --token-file "\$PWD/token"$known --k0s "\$k0s" "\$@" <records
[ -n "\$plan" ] || rm -f token
END
}

uninstall() {
  present k0s-up k0s-mirror-config
  worker=''
  for file in $units/k0sworker.service /etc/init.d/k0sworker; do [ ! -e "$file" ] || worker=yes; done
  # What this host is decides what may be removed. If that is unknown, stop here.
  set -- --reset ${last:+--last-controller}
  planned=$(k0s-up "$@" --plan --quiet --format '{{.cluster}} {{.name}} {{.status}}: {{.detail}}' </dev/null) || exit
  case $planned in *'stays preflight '*) stays=yes ;; esac
  [ -n "$stays" ] || present k0rdent-install
  if [ -n "$stays" ] && [ -z "$external" ] && [ -d "$storage/blobs" ]; then kept=yes; fi
  [ -z "$kept" ] || [ -z "$purge" ] || fail 'the hosts of the cluster that goes on pull from the registry on this host' \
    'run this without --purge now, and with it once no host pulls from here any more'
  if [ -n "$plan" ]; then
    [ -n "$stays" ] || k0rdent-install --uninstall --plan --quiet --format '# {{.name}} {{.status}}: {{.detail}}' </dev/null || [ $? = 75 ]
    printf '%s\n' "$planned" | sed 's/^/# /'
  else
    root
    ask
  fi
  begin
  timed uninstall take_away "$@"
  [ -z "$plan" ] || return 0
  summary
  [ -z "$kept$purge" ] || return 0
  for left in "$storage" "$(dirname -- "$log")" $state $settings; do [ ! -e "$left" ] || say "$left stays, until --uninstall --purge"; done
}

# ask asks whether what was found out may go.
ask() {
  [ -z "$yes" ] || return 0
  if [ -n "$stays" ]; then
    printf 'install.sh: remove this host from its cluster, which goes on, and k0s with its data? [y/N] ' >&2
  else
    registry=" and the registry${purge:+ with all that it holds}"
    [ -z "$external" ] || registry=''
    printf 'install.sh: remove k0rdent, k0s%s from this host? [y/N] ' "$registry" >&2
  fi
  read -r answer || answer=n
  case $answer in y | Y | yes) ;; *) fail 'nothing was removed' ;; esac
}

# summary says what is gone and what is not.
summary() {
  gone='k0rdent, k0s and the registry are removed'
  [ -z "$external" ] || gone="k0rdent and k0s are removed; the registry $external is as it was"
  [ -z "$stays" ] || gone='k0s is removed, and this host has left its cluster, which goes on'
  say "$gone; reboot the host to clear leftover network state"
  [ -z "$worker" ] || say "on a controller, k0s kubectl delete node $(uname -n | tr '[:upper:]' '[:lower:]') removes its Node"
  [ -z "$kept" ] || say 'this host still serves the registry that the others pull from; install.sh --uninstall once more removes it'
}

# take_away ends at the first thing that does not go: what is left is needed to
# remove that. The platform goes first, unless its cluster goes on, or does not
# answer any more. It gets the arguments of k0s-up.
take_away() {
  [ -n "$stays" ] || run 'k0rdent-install --uninstall --yes </dev/null || [ $? = 75 ] # it goes with its cluster'
  run "$(quote k0s-up "$@" --yes) </dev/null"
  run "$(quote k0s-mirror-config --remove --k0s $bin/k0s) </dev/null"
  if [ -n "$kept" ]; then # the registry and what removes it later stay
    [ -z "$plan" ] || echo "# oci-serve goes on serving $storage"
    ! grep -qxF $bin/k0s $state/files 2>/dev/null || run "rm -f $bin/k0s"
    return
  fi
  stop_alone
  if systemd && [ -n "$(systemctl show --value -p FragmentPath oci-serve.service)" ]; then
    run 'systemctl disable --quiet --now oci-serve.socket oci-serve.service' || ! systemctl is-active --quiet oci-serve.service || fail 'oci-serve does not stop'
  fi
  [ -z "$purge" ] || purge_storage
  unlist
  if systemd; then run 'systemctl daemon-reload'; fi
  tidy $units/oci-serve.service.d /etc/k0s/containerd.d /etc/k0s
  # What --purge asks for later stays: where the registry is, and whose its user.
  run "rm -f $state/pushed* $state/made $state/up* $state/restart && rm -f $run/oci-serve.*"
  [ -z "$purge" ] || purge
}

# tidy DIR…: removes directories in which nothing is left.
tidy() { for dir; do if [ -d "$dir" ]; then run "$(quote rmdir "$dir") 2>/dev/null || true"; fi; done; }

# unlist removes the files of ours that are there, but for what --purge removes.
unlist() {
  [ -f $state/files ] || return 0
  set --
  while IFS= read -r file; do
    case $file in user/* | "$settings") continue ;; esac
    for one in "$file" "$file.new"; do [ ! -e "$one" ] || set -- "$@" "$one"; done
  done <$state/files
  [ $# = 0 ] || run "$(quote rm -f -- "$@")"
}

# purge_storage removes what the registry holds, while its tool is there.
purge_storage() {
  if [ -d "$storage/blobs" ]; then
    run "$(quote oci-serve --purge --yes --storage "$storage")"
  else
    tidy "$storage"
  fi
}

# purge removes all that is known of the registry.
purge() {
  if grep -qxF user/oci-serve $state/files 2>/dev/null; then
    run 'userdel oci-serve && { ! getent group oci-serve >/dev/null || groupdel oci-serve; }' || say 'the user oci-serve stays'
  fi
  if grep -qxF $settings $state/files 2>/dev/null; then
    run "rm -f $settings"
    tidy "$(dirname $settings)"
  fi
  tidy $own # the unit makes it wherever the storage is
  if [ -n "$plan" ]; then
    run "rm -rf $state $run $(quote "$log" "$(dirname -- "$log")/oci-serve.log")"
    return
  fi
  note "done"
  step=''
  rm -rf -- $state $run "$log" "$(dirname -- "$log")/oci-serve.log"
  rmdir -- "$(dirname -- "$log")" "${state%/*}" 2>/dev/null || true
}

for word; do
  case $word in
  --) break ;;
  --download)
    [ -f "$here/download.sh" ] || misuse '--download is now a script of its own' 'run download.sh VERSION, which is beside install.sh in the release archive'
    exec sh "$here/download.sh" "$@"
    ;;
  esac
done
parse "$@"
shift $(($# - rest))
check_flags
recall
case $mode in
install) install "$@" ;;
worker | controller) join ;;
export-*) export_node ;;
uninstall) uninstall ;;
esac
