#!/bin/sh
# Takes a host from the vendor's bundle to a running platform: each step is one
# of the tools, and the same that an operator could type. Every step can be run
# again, and does what is left to do. k0rdent-airgap(7) is the guide.
#
# It needs the tools beside it (or on the PATH), a POSIX shell, coreutils, awk,
# cmp, find, sed, tar, and setsid where there is no systemd: every Linux system has
# them. --download also needs curl or wget.
set -eu
umask 022 # whatever root has: what lies open to others is not to be trusted

usage() {
  cat <<'END'
usage: install.sh --bundle FILE --key FILE [flags] [-- FLAGS OF k0s-up AND k0rdent-install]
       install.sh --worker ARCHIVE --digest DIGEST [--plan]
       install.sh --export-worker FILE.tar.gz
       install.sh --download VERSION [--bundle FILE]
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
  --no-verify           take the bundle unverified
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
  --plan                show what would be done, and change nothing
  --log FILE            records of all that was done
                        (default /var/log/k0rdent-airgap/install.ndjson)

  --worker ARCHIVE      make this host a node, with what --export-worker packed
  --digest DIGEST       the archive's digest, as --export-worker printed it
  --export-worker FILE  pack all that a worker needs to join, its token included
  --download VERSION    on a host with the internet: get bundle, signature, key
                        and k0s, resume what broke off, and check them
  --uninstall           remove k0rdent, k0s and the registry
  --purge               also remove the registry's content and the log
  --yes                 do not ask before --uninstall
  --last-controller     with --uninstall: continue even if it is unknown whether
                        the cluster has other controllers; they are lost for good
  --help                print this text
  --version             print the version

Where the registry is, this host remembers: it need not be said again.

Variables: K0RDENTD_AIRGAP_BUNDLE_PATH for --bundle, K0RDENT_COSIGN_KEY for
--key, K0RDENTD_VERIFY_SIGNATURE=false for --no-verify, for the registry
K0RDENTD_REGISTRY_HOST (0.0.0.0), K0RDENTD_REGISTRY_PORT (5000) and
K0RDENTD_REGISTRY_STORAGE (/var/lib/k0rdentd/registry), and K0RDENT_DOWNLOAD_URL
for where --download finds releases.
Exit codes: 0 done, 1 failed, 2 misuse, 75 try again, 130 interrupted.
END
}

bin=/usr/local/bin
state=/var/lib/k0rdentd/install # what one run leaves to the next
run=/run/k0rdent-airgap
units=/etc/systemd/system
settings=/etc/k0rdent-airgap/oci-serve.env
own=/var/lib/k0rdentd/registry # where the service may write by itself
prefix=k0rdent-enterprise
tools='bundle-verify bundle-version bundle-ls oci-serve oci-push k0s-extract k0s-mirror-config k0s-up k0rdent-install'
steps='check tools version serve push k0s mirror install'

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
PATH=$here/bin:$PATH:$bin

bundle=${K0RDENTD_AIRGAP_BUNDLE_PATH-} key=${K0RDENT_COSIGN_KEY-} signature='' verify=yes
listen=${K0RDENTD_REGISTRY_HOST-} port=${K0RDENTD_REGISTRY_PORT-} storage=${K0RDENTD_REGISTRY_STORAGE-}
vendor=${K0RDENT_DOWNLOAD_URL:-https://get.mirantis.com/k0rdent-enterprise}
address='' external='' ca='' username='' password='' first='' only='' plan='' mode=install archive='' digest='' release='' purge='' yes='' last='' stays='' kept=''
work='' step='' log=''

say() { printf 'install.sh: %s\n' "$*" >&2; }

# fail TEXT [HINT [CODE]]
fail() {
  say "$1"
  [ -z "${2-}" ] || printf 'hint: %s\n' "$2" >&2
  [ -z "$work" ] || printf '%s' "$1" >"$work/error"
  exit "${3-1}"
}

misuse() { fail "$1" "${2-install.sh --help lists the flags}" 2; }

# json TEXT: as a JSON string.
json() { printf '"%s"' "$(printf %s "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/["\\]/\\&/g')"; }

# tell NAME STATUS SECONDS: a record of a step, into the log.
tell() {
  error=''
  [ ! -s "$work/error" ] || error=",\"error\":$(json "$(cat "$work/error")")"
  printf '{"kind":"step","by":"install.sh","name":"%s","status":"%s","seconds":%s,"time":"%s"%s}\n' \
    "$1" "$2" "$3" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$error" >>"$log"
}

# keep COMMAND…: its records go into the log as they come, and to the file
# "records" of this run.
keep() {
  {
    code=0
    "$@" || code=$?
    echo $code >"$work/code"
  } | tee -i -a -- "$log" >"$work/records" # control-C is for what writes to it
  return "$(cat "$work/code")"
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
    --bundle | --key | --signature | --host-address | --external-registry | --ca | --username | --password-file | --from | --only | --log | \
      --worker | --digest | --export-worker | --download)
      [ -n "${2-}" ] || misuse "$1 needs a value"
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
  --bundle) bundle=$2 ;;
  --key) key=$2 ;;
  --signature) signature=$2 ;;
  --host-address) address=$2 ;;
  --external-registry) external=${2%/} ;;
  --ca) ca=$(absolute "$2") ;;
  --username) username=$2 ;;
  --password-file) password=$(absolute "$2") ;;
  --log) log=$(absolute "$2") ;;
  --worker) as worker "$1" && archive=$2 ;;
  --digest) digest=$2 ;;
  --export-worker) as export-worker "$1" && archive=$2 ;;
  --download)
    as download "$1" && release=$2
    case $2 in .* | *[!A-Za-z0-9._+-]*) misuse "--download $2: must be a version, such as 1.2.3" ;; esac
    ;;
  --from | --only)
    case " $steps " in *" $2 "*) ;; *) misuse "$1 $2: no such step" "the steps are: $steps" ;; esac
    if [ "$1" = --from ]; then first=$2; else only=$2; fi
    ;;
  esac
}

# as MODE FLAG: what is asked for, once.
as() {
  [ "$mode" = install ] || misuse "$2 does not go with --$mode"
  mode=$1
}

absolute() { case $1 in /*) printf %s "$1" ;; *) printf %s "$PWD/$1" ;; esac; }

# settle checks what was said, and fills in what was not: as it was in the last
# run on this host, or else as usual.
settle() {
  case ${K0RDENTD_VERIFY_SIGNATURE:-true} in
  true | True | TRUE | t | T | 1) ;;
  false | False | FALSE | f | F | 0) verify='' ;;
  *) misuse "K0RDENTD_VERIFY_SIGNATURE=$K0RDENTD_VERIFY_SIGNATURE: must be true or false" ;;
  esac
  [ -z "$purge" ] || [ "$mode" = uninstall ] || misuse '--purge requires --uninstall'
  [ -z "$digest" ] || [ "$mode" = worker ] || misuse '--digest requires --worker'
  [ -z "$last" ] || [ "$mode" = uninstall ] || misuse '--last-controller requires --uninstall'
  [ -z "$first" ] || [ -z "$only" ] || misuse '--from and --only are mutually exclusive'
  # What one mode leaves alone could be meant to make it harmless.
  if [ "$mode" != install ]; then
    [ -z "$first$only" ] || misuse "--from and --only cannot be combined with --$mode"
    [ "$rest" = 0 ] || misuse "no flags are allowed after -- with --$mode" "put --plan before -- to see what would be done"
  fi
  [ "${username:+x}" = "${password:+x}" ] || misuse '--username and --password-file belong together'
  if [ -s $state/site ]; then
    # shellcheck disable=SC2034 # eval uses it
    while IFS='=' read -r name was; do
      case $name in
      listen | port | storage | address | external | ca | username | password | log) eval "[ -n \"\$$name\" ] || $name=\$was" ;;
      esac
    done <$state/site
  fi
  [ "$external" != none ] || external='' ca='' username='' password=''
  [ -n "$external" ] || [ -z "$ca$username" ] || misuse '--ca, --username and --password-file are for --external-registry'
  listen=${listen:-0.0.0.0} port=${port:-5000} storage=$(absolute "${storage:-$own}") log=${log:-/var/log/k0rdent-airgap/install.ndjson}
  case $storage/ in *[!A-Za-z0-9/._-]* | */../*) misuse "K0RDENTD_REGISTRY_STORAGE=$storage: must be a path of letters, digits and ._-" ;; esac
  # All of the storage is given to the registry's user, by whichever name.
  real=$(readlink -m -- "$storage" 2>/dev/null) || real=$storage # --download is for any system
  case $state/ in "${real%/}"/*) misuse "K0RDENTD_REGISTRY_STORAGE=$storage: must not contain $state, which is for root alone" ;; esac
  case $real/ in $state/*) misuse "K0RDENTD_REGISTRY_STORAGE=$storage: must not lie in $state, which is for root alone" ;; esac
  case $port in 0* | *[!0-9]* | ??????*) port=0 ;; esac
  { [ "$port" -ge 1 ] && [ "$port" -le 65535 ]; } || misuse "invalid K0RDENTD_REGISTRY_PORT=${K0RDENTD_REGISTRY_PORT-}: must be a number from 1 to 65535"
}

# remember leaves to the next run what this one was told.
remember() {
  for name in listen port storage address external ca username password log; do
    eval "printf '%s=%s\n' $name \"\$$name\""
  done >"$work/site"
}

systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }

root() { [ "$(id -u)" = 0 ] || fail 'this needs root' 'run it with sudo'; }

# addresses lists this host's own, from the kernel's table: ip(8) may be missing.
addresses() {
  awk '/32 host LOCAL/ {print last} {last = $2}' /proc/net/fib_trie | sort -u | grep -v '^127\.' || true
}

# site tells where the registry is: for this host (near), and for nodes and pods
# (far).
site() {
  near=$external far=$external
  [ -z "$external" ] || return 0
  if [ -z "$address" ]; then
    case $listen in
    0.0.0.0 | ::) address=$(addresses) ;;
    *) address=$listen ;;
    esac
    case $address in
    '') misuse 'this host has no address' 'name the one that nodes and pods can reach with --host-address' ;;
    *'
'*) misuse "this host has several addresses: $(printf %s "$address" | tr '\n' ' ')" 'name the one that nodes and pods can reach with --host-address' ;;
    esac
  fi
  # It goes into certificates and notes, where a mistake would last.
  printf '%s\n' "$address" | awk -F. '/:/ {exit /[^0-9a-fA-F:.]/} NF != 4 || /[^0-9.]/ {exit 1} {for (i = 1; i <= 4; i++) if ($i == "" || $i > 255) exit 1}' ||
    misuse "$address is not the address of a host" 'name the one that nodes and pods can reach with --host-address'
  case $address in 127.* | ::1) misuse "$address is this host for this host only" 'name the one that nodes and pods can reach with --host-address' ;; esac
  host=$address
  case $host in *:*) host="[$host]" ;; esac
  near=127.0.0.1:$port/$prefix far=$host:$port/$prefix authority=$storage/tls/ca.pem
}

# with TOOL ARGUMENT…: the tool with what it takes to speak to the registry.
with() {
  tool=$1
  shift
  [ -z "$username" ] || set -- --username "$username" --password-file "$password" "$@"
  [ -z "$authority" ] || set -- --ca "$authority" "$@"
  "$tool" "$@"
}

# inputs looks whether the bundle and what it is verified with are there.
inputs() {
  last=$(sed -n '1s/ [0-9]*$//p' $state/pushing 2>/dev/null || true)
  [ -n "$bundle" ] || misuse 'no bundle given' "name it with --bundle${last:+; the last one was $last}"
  [ -r "$bundle" ] || fail "$bundle cannot be read"
  if [ -z "$verify" ]; then
    say 'WARNING: the bundle is used UNVERIFIED; anyone who could change it on its way here controls this site'
    return
  fi
  [ -n "$key" ] || misuse 'no key given' 'name the public key of the vendor with --key, or take the bundle unverified with --no-verify'
  case $key in *://*) ;; *) [ -r "$key" ] || fail "$key cannot be read" ;; esac
  [ ! -d "$bundle" ] || fail "$bundle is a directory, which no signature is for" 'take the file that it was unpacked from, or --no-verify'
  for s in "${signature:-$bundle.sig}" "${signature:-$bundle.sigstore.json}"; do [ ! -r "$s" ] || return 0; done
  fail "${signature:-$bundle.sig} cannot be read" 'carry the signature in beside the bundle; install.sh --download gets both'
}

# present looks whether all tools are there.
present() {
  for tool in $tools; do
    command -v "$tool" >/dev/null || fail "$tool is not there" 'unpack the whole release archive, and run the install.sh in it'
  done
  oci-serve --version >/dev/null 2>&1 || fail "the tools do not run on this $(uname -m)" 'take the release archive that is for it'
}

step_check() {
  present
  inputs
  [ -n "$external" ] || space
}

# space compares the disk with what will lie there: the registry has each blob
# once, so not more than the bundle, which does not shrink any more. What it has
# of this bundle already is not counted again.
space() {
  dir=$storage
  while [ ! -d "$dir" ]; do dir=$(dirname -- "$dir"); done
  need=$(($(size "$bundle") * 105 / 100))
  [ "$(sed 1q $state/pushing 2>/dev/null)" != "$(named)" ] || need=$((need + $(sed 1d $state/pushing) - $(size "$storage")))
  free=$(df -Pk -- "$dir" | awk 'NR == 2 {print $4}')
  room="the bundle's content needs $(mb "$need") in $storage, where $(mb "$free") are free"
  [ "$free" -ge "$need" ] || fail "$room" 'make room, or name another place with K0RDENTD_REGISTRY_STORAGE'
}

# size FILE|DIR: in KiB; 0 of nothing.
size() {
  if [ -f "$1" ]; then
    echo $((($(bytes "$1") + 1023) / 1024))
  else
    { du -sk -- "$1" 2>/dev/null || echo 0; } | awk 'END {print $1}'
  fi
}

bytes() { if [ -e "$1" ]; then stat -Lc %s -- "$1"; else echo 0; fi; }

# mb KIB: in the units that the tools print.
mb() { awk -v n="$1" 'BEGIN { n *= 1024; if (n < 1e9) printf "%.1f MB\n", n / 1e6; else printf "%.1f GB\n", n / 1e9 }'; }

# named tells this bundle from others.
named() { echo "$bundle $(size "$bundle")"; }

# put FILE PLACE MODE: as a whole, and only if it differs. What is put outside of
# our own directory is noted first, for --uninstall.
put() {
  if cmp -s -- "$1" "$2"; then return 0; fi
  mkdir -p -- "$state" "$(dirname -- "$2")"
  case $2 in "$state"/*) ;; *) note "$2" ;; esac
  cp --remove-destination -- "$1" "$2.new" # which may be a link, in a directory of a group
  chmod "$3" "$2.new"
  mv -f -- "$2.new" "$2"
}

note() {
  mkdir -p $state
  grep -qxF -- "$1" $state/files 2>/dev/null || printf '%s\n' "$1" >>$state/files
}

# renew FILE PLACE MODE: as put, of what the registry has to be started again for.
renew() {
  if cmp -s -- "$1" "$2"; then return 0; fi
  mkdir -p $state
  : >$state/restart
  put "$@"
}

step_tools() {
  if [ -x "$here/bin/oci-serve" ]; then
    for tool in $tools; do
      if [ "$tool" = oci-serve ]; then renew "$here/bin/$tool" "$bin/$tool" 755; else put "$here/bin/$tool" "$bin/$tool" 755; fi
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
  renew "$source/oci-serve.service" "$units/oci-serve.service" 644
  put "$source/oci-serve.sysusers" /etc/sysusers.d/oci-serve.conf 644
  if [ ! -e $settings ]; then # it is the operator's from then on
    mkdir -p "$state" "$(dirname $settings)"
    : >$state/settings
    cp "$source/oci-serve.env" $settings
    chmod 644 $settings
  fi
  id oci-serve >/dev/null 2>&1 || : >$state/user # it is ours to remove
  systemd-sysusers /etc/sysusers.d/oci-serve.conf
}

step_version() {
  [ -n "$bundle" ] || inputs
  keep bundle-version --quiet "$bundle"
  say "release $(sed -n 's/^{"kind":"version".*"version":"\([^"]*\)".*/\1/p' "$work/records"), not verified yet"
}

# step_serve starts the registry, or leaves the one that runs as it is.
step_serve() {
  if [ -n "$external" ]; then
    return 0
  fi
  vacant
  if systemd; then
    serve_unit
  else
    serve_alone
  fi
}

# vacant: only what is empty, or a registry's, becomes the registry's own, which
# --purge removes whole.
vacant() {
  [ ! -d "$storage" ] || [ -d "$storage/blobs" ] || [ -z "$(find "$storage/" -mindepth 1 ! -name lost+found | head -n 1)" ] ||
    fail "$storage has other things in it" 'name a directory that is empty'
}

# serve_unit: what the operator says in the environment file comes after this.
serve_unit() {
  {
    printf '[Service]\n'
    printf 'Environment="%s"\n' OCI_SERVE_TLS=auto "OCI_SERVE_TLS_NAME=$address" "OCI_SERVE_HOST=$listen" "OCI_SERVE_PORT=$port" "OCI_SERVE_STORAGE=$storage"
    [ "$storage" = $own ] || printf 'ReadWritePaths=%s\n' "$storage"
  } >"$work/site.conf"
  renew "$work/site.conf" "$units/oci-serve.service.d/site.conf" 644
  if [ "$storage" != $own ] && [ "$(stat -c %U "$storage" 2>/dev/null)" != oci-serve ]; then
    mkdir -p -- "$storage"
    chown -hR oci-serve: "$storage"
  fi
  systemctl daemon-reload
  systemctl enable --quiet oci-serve.service
  how=start
  [ ! -e $state/restart ] || how=restart
  if ! systemctl $how oci-serve.service; then # it is ready when that returns
    pid=$(systemctl show --value -p ExecMainPID oci-serve.service)
    for try in 1 2 3 4 5; do # the journal may be behind
      ! journalctl -q "_PID=$pid" -n 2 -o cat --no-pager | grep . >"$work/why" || break
      sleep "0.$try"
    done
    code=$(systemctl show --value -p ExecMainStatus oci-serve.service)
    not_started "$((code == 75 ? 75 : 1))"
  fi
  rm -f $state/restart
}

# not_started CODE: oci-serve has ended, and its words are in "why". If another
# program has the port, root can find out which, where the service cannot.
not_started() {
  who=''
  [ "$1" != 75 ] || who=$(holder)
  [ -z "$who" ] || fail "port $port is in use by $who" 'stop that program, or set K0RDENTD_REGISTRY_PORT to another port' 75
  cat "$work/why" >&2
  fail 'oci-serve does not start' '' "$1"
}

# holder names the process that listens on the port, from the kernel's tables:
# ss(8) may be missing.
holder() {
  inode=$(awk -v at=":$(printf %04X "$port")" '$4 == "0A" && substr($2, length($2) - 4) == at {print $10; exit}' /proc/net/tcp /proc/net/tcp6 2>/dev/null || true)
  [ -n "$inode" ] || return 0
  for process in /proc/[0-9]*; do
    # shellcheck disable=SC2010 # for where the links lead
    if ls -l "$process/fd" 2>/dev/null | grep -qF "socket:[$inode]"; then
      echo "$(cat "$process/comm") (process ${process#/proc/})"
      return
    fi
  done
  echo 'another program'
}

# serve_alone: without systemd, oci-serve runs in the background, as the user who
# began, until the host is shut down. It has a record once it accepts connections.
# In a session of its own, an interrupt of this script is none of its business.
serve_alone() {
  errors=$(dirname -- "$log")/oci-serve.log
  printf '%s\n' "$listen" "$port" "$storage" "$address" >"$work/serve"
  renew "$work/serve" $state/serve 644
  [ ! -e $state/restart ] || stop_alone
  if ! alone; then
    mkdir -p -- "$run" "$storage"
    rm -f $run/oci-serve.record $run/oci-serve.pid
    program=$bin/oci-serve # which stays when what was carried in goes
    [ -x "$program" ] || program=$(command -v oci-serve)
    # shellcheck disable=SC2016 # for the inner shell
    setsid sh -c 'echo $$ >"$0/oci-serve.pid"; exec "$@" >"$0/oci-serve.record"' $run "$program" \
      --host "$listen" --port "$port" --storage "$storage" --tls auto --tls-name "$address" 2>>"$errors" </dev/null &
    starting=$!
  else
    starting=$(cat $run/oci-serve.pid)
  fi
  until [ -s $run/oci-serve.record ]; do
    if [ -z "$(readlink "/proc/$starting/exe")" ]; then
      status=0
      wait "$starting" || status=$?
      tail -n 2 "$errors" >"$work/why"
      not_started "$status"
    fi
    sleep 0.1
  done
  cat $run/oci-serve.record >>"$log"
  rm -f $state/restart
  say 'there is no systemd here: after each start of this host, install.sh --only serve starts the registry'
}

# alone: an oci-serve of ours runs.
alone() {
  [ -s $run/oci-serve.pid ] || return 1
  case $(readlink "/proc/$(cat $run/oci-serve.pid)/exe" || true) in */oci-serve*) ;; *) return 1 ;; esac
}

# stop_alone ends it; transfers get their 30 seconds.
stop_alone() {
  alone || return 0
  kill "$(cat $run/oci-serve.pid)"
  while alone; do sleep 0.1; done
}

# leave ends a step on a signal; what the run has to say of it comes from its
# parent.
leave() {
  dismiss
  exit 130
}

# dismiss ends the two that wait for each other at a pipe, and let SIGINT pass. A
# process that has just been forked may lose a SIGTERM.
dismiss() { [ -z "$passer" ] || kill -KILL "$verifier" "$passer" 2>/dev/null || true; }

# step_push reads the bundle once, verifying and sending at the same time;
# oci-push publishes nothing before bundle-verify has said that it is good.
step_push() {
  inputs
  if [ "$(sed 1q $state/pushing 2>/dev/null)" != "$(named)" ]; then
    { named && size "$storage"; } >"$work/pushing"
    put "$work/pushing" $state/pushing 644
  fi
  if [ -z "$verify" ]; then
    keep with oci-push --to "$near" "$bundle"
    put "$work/records" $state/pushed 600
    return
  fi
  mkfifo "$work/said" "$work/verdict"
  set -- --quiet --key "$key" "$bundle"
  [ -z "$signature" ] || set -- --signature "$signature" "$@"
  # A signal waits until it is known whom to end with this.
  trap 'signalled=yes' INT TERM
  bundle-verify "$@" >"$work/said" &
  verifier=$!
  tee "$work/bundle" <"$work/said" >"$work/verdict" &
  passer=$!
  trap leave INT TERM
  [ -z "$signalled" ] || leave
  status=0
  keep with oci-push --verified-by "$work/verdict" --to "$near" "$bundle" || status=$?
  dismiss # they have ended, unless oci-push gave up before them
  wait "$verifier" "$passer" 2>/dev/null || true
  verifier='' passer=''
  [ ! -e "$work/bundle" ] || cat "$work/bundle" >>"$log"
  if grep -q '"signature":"bad"' "$work/bundle" 2>/dev/null; then
    : >"$work/stopped"
    fail "STOPPED: $bundle is NOT what the owner of $key signed; nothing of it was published"
  fi
  [ $status = 0 ] || return $status
  put "$work/records" $state/pushed 600
}

# pushed: it is known what was pushed.
pushed() {
  [ -s $state/pushed ] || { back push; fail 'it is not known yet what the registry holds'; }
}

# back STEP: the step that fails cannot be done again before that one.
back() { printf '%s' "$1" >"$work/back"; }

# wrote keeps the records of files that were written: k0s-up --reset removes them
# with its own.
wrote() { grep '"status":"written"' "$work/records" >>$state/written || true; }

# released is the release that was pushed.
released() {
  sed -n 's/^{"kind":"image",.*"repository":"charts\/k0rdent-enterprise","tag":"\([^"]*\)".*/\1/p' $state/pushed 2>/dev/null |
    tr _ + | sort -rV | sed 1q
}

# step_k0s takes k0s from the registry, without reading 22 GB once more, and by
# the digests that were pushed: others may have moved the tags since.
step_k0s() {
  pushed
  # Tags, digests and platforms of k0s's image, the newest version first.
  sed -n 's/^{"kind":"image",.*"repository":"k0sproject\/k0s","tag":"\([^"]*\)","digest":"\([^"]*\)"\(.*\)/\1@\2 \3/p' $state/pushed | sort -rV >"$work/k0s"
  [ -s "$work/k0s" ] || { back version; fail 'the bundle holds no k0s' 'get a bundle that holds one'; }
  if [ -z "$external" ]; then
    while read -r image about; do
      platforms=''
      for p in linux/amd64 linux/arm64; do case $about in *"\"$p\""*) platforms=$platforms,$p ;; esac; done
      set -- --quiet --from "$near/k0sproject/k0s:$image" --name --to "$storage/k0s"
      [ -z "$platforms" ] || set -- --platform "${platforms#,}" "$@"
      keep with k0s-extract "$@" </dev/null
    done <"$work/k0s"
  fi
  [ -e $bin/k0s ] || note $bin/k0s
  read -r image about <"$work/k0s"
  keep with k0s-extract --from "$near/k0sproject/k0s:$image" --to $bin/k0s </dev/null
  wrote
}

step_mirror() {
  keep with k0s-mirror-config --mirror "https://$far" --k0s $bin/k0s </dev/null
  wrote
}

# pins reduces records of images to what k0s-up and k0rdent-install need: which
# digest each tag was pushed with.
pins() { sed -n 's/^{"kind":"image",.*\("repository":"[^"]*","tag":"[^"]*","digest":"[^"]*"\).*\("reference":"[^"]*"\).*/{"kind":"image",\1,\2}/p'; }

# step_install hands k0s-up and k0rdent-install the digests that were pushed, to
# which they hold the registry from then on. Both check everything before the host
# is changed.
step_install() {
  release=$(released)
  [ -z "$release" ] || set -- --release "$release" "$@"
  [ -z "$address" ] || set -- --api-address "$address" "$@"
  [ -e $state/written ] || : >$state/written
  pushed
  pins <$state/pushed >"$work/known"
  if [ ! -s "$work/known" ] || [ "$(wc -l <"$work/known")" != "$(grep -c '^{"kind":"image",.*"tag":' $state/pushed)" ]; then
    back push
    fail "$state/pushed does not have the digest of every image"
  fi
  cat $state/written >>"$work/known"
  case " $* " in
  *' --plan '*) ;;
  *) both --plan --quiet "$@" ;;
  esac
  both "$@"
  if [ -s $state/written ] && [ -e ${state%/*}/install.json ]; then : >$state/written; fi # it has them in its own notes
}

# both FLAG…: the host, and then the platform on it.
both() {
  own host keep with k0s-up --registry "$far" -- "$@" <"$work/known"
  mv -f "$work/records" "$work/up"
  own platform keep with k0rdent-install --registry "$far" -- "$@" <"$work/up"
}

# own WHO COMMAND… -- FLAG…: the command with those of the flags that it has.
own() {
  who=$1 owner=fixed
  shift
  for arg; do
    shift
    if [ "$owner" = fixed ]; then
      if [ "$arg" = -- ]; then
        owner=both
        continue
      fi
    else
      case $arg in
      --plan | --quiet | --verbose | --upgrade | --ignore* | --timeout* | --config*) owner=both ;;
      --k0s-url*) owner=platform ;;
      --k0s* | --api-* | --san* | --network-provider* | --pod-cidr* | --service-cidr* | --storage-type* | --etcd-peer-address*) owner=host ;;
      -*) owner=platform ;;
      esac
    fi
    case $owner in fixed | both | "$who") set -- "$@" "$arg" ;; esac
  done
  "$@"
}

# plan_STEP says what a step would do.
plan_check() {
  step_check
  echo "${room-$external is asked for its room when it is pushed to}"
}
plan_tools() { echo "the tools into $bin$(systemd && [ -z "$external" ] && echo ", oci-serve.service into $units")"; }
plan_version() { bundle-version --quiet --format '{{.name}} {{.version}}, not verified yet' "$bundle"; }
plan_serve() {
  if [ -n "$external" ]; then
    echo "nothing: $external serves"
  else
    echo "oci-serve --host $listen --port $port --storage $storage --tls auto --tls-name $address"
  fi
}
plan_push() {
  inputs
  [ -z "$verify" ] || printf '%s' "bundle-verify --key $key${signature:+ --signature $signature} $bundle | "
  echo "oci-push $(access)--to $near${verify:+ --verified-by -} $bundle"
}
plan_k0s() {
  [ -n "$external" ] || echo "k0s-extract $(access)--from $near/k0sproject/k0s --name --to $storage/k0s"
  echo "k0s-extract $(access)--from $near/k0sproject/k0s --to $bin/k0s"
}
plan_mirror() { echo "k0s-mirror-config $(access)--mirror https://$far"; }
plan_install() {
  own host echo "k0s-up $(access)--registry $far${address:+ --api-address $address}" -- "$@"
  own platform echo "k0rdent-install $(access)--registry $far" -- "$@"
}
# access: the flags that with adds.
access() { printf %s "${authority:+--ca $authority }${username:+--username $username --password-file $password }"; }

# walk does the steps that were asked for.
walk() {
  going=yes
  [ -z "$first" ] || going=''
  for name in $steps; do
    [ "$name" != "$first" ] || going=yes
    if [ -n "$only" ]; then
      going=''
      [ "$name" != "$only" ] || going=yes
    fi
    [ -n "$going" ] || continue
    if [ -n "$plan" ]; then
      text=$("plan_$name" "$@") || exit
      printf '%s\n' "$text" | awk -v step="$name" '{printf "%-8s %s\n", NR == 1 ? step : "", $0}'
    else
      timed "$name" "step_$name" "$@"
    fi
  done
}

# timed NAME COMMAND…: does a step, and leaves its record. It ends this program
# if the step fails.
timed() {
  step=$1
  shift
  say "step $step"
  begun=$(date +%s)
  rm -f "$work/error"
  printf '%s' "$step" >"$work/back"
  set +e # in a list, set -e would not count inside
  (
    trap leave INT TERM
    set -e
    "$@"
  )
  code=$?
  set -e
  [ $code != 130 ] || interrupted
  if [ $code != 0 ]; then
    tell "$step" failed $(($(date +%s) - begun))
    if [ "$mode" = install ] && [ $code != 2 ] && [ ! -e "$work/stopped" ]; then
      from=''
      [ "$step" = check ] || [ -n "$only" ] || from=" and --from $(cat "$work/back")"
      say "step $step failed; fix that, then resume with the same command$from"
    fi
    exit $code
  fi
  tell "$step" "done" $(($(date +%s) - begun))
  step=''
}

# report tells from the log what there is now: of each record the last.
report() {
  awk '
    function get(key,    v) {
      v = $0
      if (!sub(".*\"" key "\":\"?", "", v)) return ""
      sub(/[",}].*/, "", v)
      return v
    }
    /^{"kind":"bundle"/ { signature = get("signature") }
    /^{"kind":"summary","tool":"oci-push"/ { pushed = get("pushed") + get("exists"); bytes = get("bytes") + 0 }
    /^{"kind":"file"/ && get("path") == k0s { version = get("version") }
    /"by":"install.sh"/ {
      name = get("name")
      if (name == "push" && get("status") == "done") { verified = signature == "good"; signature = "" }
      if (!(name in seconds)) order[++n] = name
      seconds[name] = get("seconds")
    }
    END {
      if (release != "") printf "  release   %s, %s\n", release, verified ? "as its vendor signed it" : "UNVERIFIED"
      printf "  registry  https://%s\n", far
      unit = bytes < 1e9 ? 1e6 : 1e9
      if (pushed && !bytes) printf "  images    %d; all were there already\n", pushed
      else if (pushed) printf "  images    %d; the last push sent %.1f %s\n", pushed, bytes / unit, unit == 1e6 ? "MB" : "GB"
      if (version != "") printf "  k0s       %s\n", version
      printf "  took     "
      for (i = 1; i <= n; i++) printf " %s %d s%s", order[i], seconds[order[i]], i < n ? "," : "\n"
    }' k0s=$bin/k0s far="$far" release="$(released)" "$log" >&2
  case " $* " in
  *' --plan '*) say 'the registry is filled; the cluster was only planned: run the same command without -- --plan to install it' ;;
  *) say "done; every record is in $log" ;;
  esac
}

# interrupted ends the run on a signal.
interrupted() {
  trap '' INT TERM
  if [ -n "$step" ] && [ -z "$plan" ]; then
    took=$(($(date +%s) - begun))
    printf interrupted >"$work/error"
    tell "$step" failed $took
    say "interrupted in step $step after $took s; run the same command to continue where it stopped"
  fi
  exit 130
}

# begin makes a place for scratch files, and the log, which is nobody else's.
begin() {
  work=$(mktemp -d)
  verifier='' passer='' signalled=''
  trap 'dismiss; rm -rf -- "$work"' EXIT
  trap interrupted INT TERM
  [ -z "$plan" ] || return 0
  guarded
  (
    umask 077
    mkdir -p -- "$(dirname -- "$log")"
    : >>"$log"
  )
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

install() {
  [ -n "$plan" ] || root
  site
  begin
  [ -z "$external" ] || say "the registry is $external"
  if [ -z "$plan" ]; then
    remember
    put "$work/site" $state/site 644
  fi
  walk "$@"
  if [ -z "$plan" ] && [ -z "$only" ]; then report "$@"; fi
}

worker() {
  [ -n "$plan" ] || root
  [ ! -d "$archive" ] || fail "$archive is a directory" 'name the file that install.sh --export-worker wrote'
  [ -r "$archive" ] || fail "$archive cannot be read"
  begin
  # Nothing in it is used before all of it is known to be what was packed, and
  # nobody else can change it after that.
  cat -- "$archive" >"$work/archive" || fail "$archive cannot be copied to ${TMPDIR:-/tmp}" 'TMPDIR names a directory with more room'
  authentic "$work/archive"
  mkdir "$work/worker"
  tar xzf "$work/archive" -C "$work/worker" 2>/dev/null || fail "$archive cannot be unpacked" 'pack another with install.sh --export-worker'
  rm -f "$work/archive"
  [ -z "$(find "$work/worker" ! -type d ! -type f -o -type f -links +1)" ] || fail "$archive has links or devices in it" 'pack another with install.sh --export-worker'
  join=''
  for file in "$work"/worker/*/join.sh; do [ ! -f "$file" ] || join=$join$file; done
  [ -f "$join" ] || fail "$archive does not hold one join.sh" 'make it with install.sh --export-worker'
  if [ -n "$plan" ]; then
    sh "$join" --plan
    return
  fi
  [ -e $bin/k0s ] || note $bin/k0s
  timed worker sh "$join"
  say "$archive holds a join token: remove it, or keep it where nobody else reads it"
}

# authentic FILE: it has the digest that --export-worker printed, which the
# operator carried here by a different route.
authentic() {
  if [ -z "$digest" ]; then
    [ -t 0 ] || misuse "the digest of $archive is needed: it holds programs that run as root" 'run the command that install.sh --export-worker printed: install.sh --worker ARCHIVE --digest sha256:...'
    printf 'install.sh: the digest that --export-worker printed for %s: ' "$archive" >&2
    read -r digest || digest=none
  fi
  want=$(printf %s "${digest#sha256:}" | tr A-F a-f)
  case $want in *[!0-9a-f]*) want='' ;; esac
  [ ${#want} = 64 ] || misuse "--digest $digest: must be sha256: and 64 hexadecimal digits" 'install.sh --export-worker prints it'
  has=$(sha256sum <"$1" | cut -c 1-64)
  [ "$has" = "$want" ] || fail "$archive has the digest sha256:$has, not sha256:$want" 'copy it again; if that does not help, it was changed on the way: pack another with install.sh --export-worker'
}

export_worker() {
  [ -n "$plan" ] || root
  site
  archive=$(absolute "$archive")
  if [ -n "$plan" ]; then
    echo "k0s-up --token worker"
    echo "k0s-extract ${authority:+--ca $authority }--from $bin/k0s --export $archive --role worker --mirror https://$far"
    return
  fi
  begin
  timed export-worker pack
  say "carry $archive to the worker, to where nobody else can read it, and run there:"
  say "  install.sh --worker $(basename -- "$archive") --digest $(cat "$work/digest")"
  say 'the digest is what proves the archive: write it down, or send it by a different route'
}

pack() {
  keep k0s-up --quiet --token worker --token-file "$work/token" --k0s $bin/k0s </dev/null
  set -- --from $bin/k0s --export "$archive" --role worker --mirror "https://$far" --token-file "$work/token"
  [ -z "$username" ] || set -- --mirror-username "$username" --mirror-password-file "$password" "$@"
  [ -z "$authority" ] || set -- --ca "$authority" "$@"
  keep k0s-extract "$@" </dev/null
  # Of what was written: the file itself may lie where others can replace it.
  sed -n 's/^{"kind":"file",.*"digest":"\(sha256:[0-9a-f]*\)".*/\1/p' "$work/records" >"$work/digest"
}

# get URL FILE: adds to FILE what it has not of URL. What it gives is curl's status
# or wget's.
get() {
  if command -v curl >/dev/null; then
    curl -fL --retry 3 -C - -o "$2" "$1"
  elif command -v wget >/dev/null; then
    wget -c -O "$2" "$1"
  else
    fail 'neither curl nor wget is there'
  fi
}

# fetch URL FILE: gets a file, however often the line breaks, as long as something
# comes. It fails if the server has none.
fetch() {
  [ ! -s "$2" ] || return 0
  idle=0
  while true; do
    had=$(bytes "$2.part")
    code=0
    get "$1" "$2.part" || code=$?
    case $code in
    0) break ;;
    8 | 22) return 1 ;;         # wget, curl: the server says no
    33) rm -f -- "$2.part" ;; # curl: it cannot send a part
    esac
    idle=$((idle + 1))
    [ "$(bytes "$2.part")" -le "$had" ] || idle=0
    [ $idle -lt 3 ] || fail "$1 cannot be fetched" 'run the same again: it goes on where it broke off' 75
    sleep $idle
  done
  mv -- "$2.part" "$2"
}

# want URL FILE: fetch of what must be there.
want() { fetch "$1" "$2" || fail "the server has no $1" 'see whether there is such a release'; }

# signed FILE: a file that was fetched is what its vendor signed.
signed() { bundle-verify --key "$key" "$1" >/dev/null || fail "$1 is not what its vendor signed" "remove it and $1.sig, and run the same again" $?; }

download() {
  bundle=${bundle:-airgap-bundle-$release.tar.gz}
  dir=$(dirname -- "$bundle")
  key=${key:-$dir/cosign.pub}
  if [ -n "$plan" ]; then
    printf '%s\n' "$vendor/cosign.pub" "$vendor/$release/airgap-bundle-$release.tar.gz.sig" "$vendor/$release/airgap-bundle-$release.tar.gz" "$vendor/$release/k0s-..."
    return
  fi
  mkdir -p -- "$dir"
  want "$vendor/cosign.pub" "$key"
  want "$vendor/$release/airgap-bundle-$release.tar.gz.sig" "$bundle.sig"
  want "$vendor/$release/airgap-bundle-$release.tar.gz" "$bundle"
  signed "$bundle"
  got="$bundle, $bundle.sig, $key"
  # The bundle has k0s in it; by itself it is for hosts that have no registry.
  for v in $(bundle-version --all --quiet --format '{{range .k0s}}{{.}} {{end}}' "$bundle"); do
    for arch in amd64 arm64; do
      name=k0s-$v-$arch
      for spelling in "$name" "$(printf %s "$name" | tr + -)"; do
        fetch "$vendor/$release/$spelling.sig" "$dir/$name.sig" || continue
        want "$vendor/$release/$spelling" "$dir/$name"
        signed "$dir/$name"
        got="$got, $dir/$name"
        break
      done
    done
  done
  say "carry these into the site: $got"
  say "and compare $key with one that came on another way: what lies beside a file proves nothing about it"
}

uninstall() {
  if ! equipped && no_controller; then
    uninstall_worker
    return
  fi
  present
  # What this host is decides what may be removed. If that is unknown, stop here.
  set -- --reset ${last:+--last-controller}
  planned=$(k0s-up "$@" --plan --quiet </dev/null ) || exit
  case $planned in *'"cluster":"stays"'*) stays=yes ;; esac
  if [ -n "$stays" ] && serves; then kept=yes; fi
  [ -z "$kept" ] || [ -z "$purge" ] || fail 'the hosts of the cluster that goes on pull from the registry on this host' \
    'run this without --purge now, and with it once no host pulls from here any more'
  if [ -n "$plan" ]; then
    [ -n "$stays" ] || k0rdent-install --uninstall --plan --quiet --format '{{.name}} {{.status}}: {{.detail}}' </dev/null || [ $? = 75 ]
    k0s-up "$@" --plan --quiet --format '{{.name}} {{.status}}: {{.detail}}' </dev/null
    k0s-mirror-config --remove --plan --quiet --format '{{.path}}' --k0s $bin/k0s </dev/null
    if [ -n "$kept" ]; then
      echo "oci-serve goes on serving $storage"
    else
      listed
    fi
    [ -z "$purge" ] || printf '%s\n' "$storage" "$log"
    return
  fi
  root
  ask
  begin
  timed uninstall take_away "$@"
  summary
  [ -z "$kept" ] || return 0
  if [ -n "$purge" ]; then
    purge
  else
    for left in "$storage" "$(dirname -- "$log")" $state $settings; do [ ! -e "$left" ] || say "$left stays, until --uninstall --purge"; done
  fi
}

# serves: the site's registry is on this host.
serves() { [ -z "$external" ] && [ -d "$storage/blobs" ]; }

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
  [ -z "$kept" ] || say 'this host still serves the registry that the others pull from; install.sh --uninstall once more removes it'
}

# equipped: all tools are there.
equipped() { for tool in $tools; do command -v "$tool" >/dev/null || return 1; done; }

# no_controller: this host is a worker, or nothing.
no_controller() {
  for file in $units/k0scontroller.service /etc/init.d/k0scontroller /var/lib/k0s/etcd /var/lib/k0s/db /var/lib/k0s/pki/ca.key; do
    [ ! -e "$file" ] || return 1
  done
}

# uninstall_worker removes a worker with what --worker has brought: this program
# and k0s.
uninstall_worker() {
  if [ -n "$plan" ]; then
    echo "k0s stop"
    echo "k0s reset"
    managed
    listed
    [ -z "$purge" ] || echo "$log"
    return
  fi
  root
  stays=yes
  ask
  begin
  timed uninstall take_away_worker
  summary
  say "on a controller, k0s kubectl delete node $(uname -n | tr '[:upper:]' '[:lower:]') removes its Node"
  if [ -n "$purge" ]; then
    rm -rf -- $state "$log"
    rmdir -- "$(dirname -- "$log")" "${state%/*}" 2>/dev/null || true
  fi
}

# managed lists the files that k0s-mirror-config or join.sh has made.
managed() {
  for file in /etc/k0s/containerd.d/cri-registry.toml /etc/k0s/certs.d/*/hosts.toml; do
    [ -s "$file" ] || continue
    read -r first <"$file" || true
    case $first in '# Managed by k0s-mirror-config'*) ;; *) continue ;; esac
    echo "$file"
    case $file in */hosts.toml) [ ! -e "${file%/*}/ca.crt" ] || echo "${file%/*}/ca.crt" ;; esac
  done
}

take_away_worker() {
  if [ -e $units/k0sworker.service ] || [ -e /etc/init.d/k0sworker ] || [ -e /var/lib/k0s ]; then
    [ -x $bin/k0s ] || fail "$bin/k0s does not exist, and only k0s can remove its own data" 'put it back from the worker archive'
    $bin/k0s stop 2>"$work/why" || case $(cat "$work/why") in *'already stopped'* | *'not been installed'*) ;; *) fail "k0s does not stop: $(tail -n 1 "$work/why")" ;; esac
    $bin/k0s reset
  fi
  managed | while IFS= read -r file; do
    rm -f -- "$file"
    rmdir -- "${file%/*}" 2>/dev/null || true
  done
  if grep -qx '# k0s_managed=true' /etc/k0s/containerd.toml 2>/dev/null; then rm -f /etc/k0s/containerd.toml; fi
  unlist
  rmdir /etc/k0s/containerd.d /etc/k0s/certs.d /etc/k0s 2>/dev/null || true
}

# unlist removes the files of ours that are there.
unlist() {
  [ ! -f $state/files ] || while IFS= read -r file; do rm -f -- "$file" "$file.new"; done <$state/files
}

# listed gives the files of ours that are there.
listed() {
  [ ! -f $state/files ] || while IFS= read -r file; do [ ! -e "$file" ] || printf '%s\n' "$file"; done <$state/files
}

# take_away ends at the first thing that does not go: what is left is needed to
# remove that. The platform goes first, unless its cluster goes on, or does not
# answer any more. It gets the arguments of k0s-up.
take_away() {
  if [ -z "$stays" ]; then
    code=0
    keep k0rdent-install --uninstall --yes </dev/null || code=$?
    case $code in 0) ;; 75) say 'the platform goes with its cluster' ;; *) return $code ;; esac
  fi
  keep k0s-up "$@" --yes </dev/null
  keep k0s-mirror-config --remove --k0s $bin/k0s </dev/null
  if [ -n "$kept" ]; then # the registry and what removes it later stay
    if [ -f $state/files ] && grep -qxF $bin/k0s $state/files; then rm -f $bin/k0s; fi
    return
  fi
  stop_alone
  if systemd && ! systemctl disable --quiet --now oci-serve.socket oci-serve.service 2>"$work/why"; then
    ! systemctl is-active --quiet oci-serve.service || fail "oci-serve does not stop: $(cat "$work/why")"
  fi
  unlist
  if systemd; then systemctl daemon-reload; fi
  for dir in $units/oci-serve.service.d /etc/k0s/containerd.d /etc/k0s; do rmdir "$dir" 2>/dev/null || true; done
  rm -rf $run
  # What --purge asks for later stays: where the registry is, and whose its user.
  [ ! -d $state ] || find $state -type f ! -name site ! -name user ! -name settings -exec rm -f {} +
}

# purge removes what the registry holds, and all that is known of it.
purge() {
  if [ -d "$storage/blobs" ] && [ -d "$storage/repositories" ]; then
    rm -rf -- "$storage" || say "$storage could not be removed whole"
  else
    rmdir -- "$storage" 2>/dev/null || [ ! -e "$storage" ] || say "$storage stays: it is not the storage of oci-serve"
  fi
  if [ -e $state/user ]; then
    userdel oci-serve || say 'the user oci-serve stays'
    if getent group oci-serve >/dev/null; then groupdel oci-serve; fi # not everywhere a user's own group goes with it
  fi
  if [ -e $state/settings ]; then
    rm -f $settings
    rmdir "$(dirname $settings)" 2>/dev/null || true
  fi
  rm -rf -- $state "$log" "$(dirname -- "$log")/oci-serve.log"
  rmdir -- $own "$(dirname -- "$log")" "${state%/*}" 2>/dev/null || true # the unit makes $own wherever the storage is
}

parse "$@"
shift $(($# - rest))
settle
authority=$ca
case $mode in
install) install "$@" ;;
worker) worker ;;
export-worker) export_worker ;;
download) download ;;
uninstall) uninstall ;;
esac
