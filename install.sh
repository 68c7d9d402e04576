#!/bin/sh
# Sets up a host from the vendor's bundle to a running platform. A step prints its
# commands: --plan shows them, and a run passes them to a shell. Each step can be run
# again, and completes what is missing. k0rdent-airgap(7) is the guide.
#
# It needs the tools next to it (or on the PATH), a POSIX shell, coreutils, awk, cmp,
# find, flock, grep, sed, setsid and tar: every Linux system has them.
set -eu
umask 022 # whatever root has: what other users can write is not trusted

usage() {
  cat <<'END'
usage: install.sh --bundle FILE --key FILE [flags] [-- FLAGS OF THE TOOLS]
       install.sh --export-worker|--export-controller FILE.tar.gz
       install.sh --worker|--controller ARCHIVE --digest DIGEST
       install.sh --add-bundle FILE --key FILE
       install.sh --status
       install.sh --uninstall [--purge]

  install.sh --bundle airgap-bundle-1.2.3.tar.gz --key cosign.pub --plan
  install.sh --bundle airgap-bundle-1.2.3.tar.gz --key cosign.pub

Take this host from the vendor's bundle to a cluster on which k0rdent is ready,
without the internet. The steps, in this order:

  check     bundle, signature, key, tools and disk space
  tools     install the tools and the registry's service
  version   print which release the bundle holds
  serve     start the site's registry, with a certificate of its own
  push      push the bundle; nothing is published before it is verified
  k0s       install k0s, for this host and for child clusters
  mirror    have containerd pull from the site's registry only
  install   start k0s, install k0rdent, wait until it is ready

Bundle:
  --bundle FILE         the vendor's airgap-bundle-VERSION.tar.gz, its first
                        part, or a pattern in quotes that matches all its parts
  --key FILE            the vendor's public key
  --signature FILE      the bundle's signature (default FILE.sig or
                        FILE.sigstore.json next to it)
  --no-verify           use the bundle unverified
  --add-bundle FILE     push one of the vendor's further bundles, bare metal or
                        Ceph, to the registry of this site

Registry:
  --host-address IP     the address of this host for nodes and pods
                        (default: its only one)
  --external-registry HOST[:PORT][/PREFIX]
                        push to this registry instead of serving one; "none"
                        switches back
  --ca FILE             certificate authorities of the external registry, in PEM
  --username NAME       user at the external registry
  --password-file FILE  file that holds the user's password

Steps:
  --from STEP           start at a step
  --only STEP           run only this step
  --plan                print the commands of each step, and change nothing

Other hosts:
  --export-worker FILE  pack what a worker needs to join this host's cluster
  --export-controller FILE
                        pack what another controller needs
  --worker ARCHIVE      make this host a worker, from such an archive
  --controller ARCHIVE  make this host a controller, from such an archive
  --digest DIGEST       the archive's digest, as it was printed

Uninstalling:
  --uninstall           remove k0rdent, k0s and the registry
  --purge               also remove the registry's content and the log
  --yes                 do not ask before --uninstall
  --last-controller     with --uninstall: continue even if other controllers may
                        exist; they are lost for good

General:
  --status              print the state of this site
  --log FILE            write records to FILE
                        (default /var/log/k0rdent-airgap/install.ndjson)
  --help, -h            print this text
  --version             print the version

Flags after -- are those of k0s-up and k0rdent-install. The registry's address
is remembered. Variables: K0RDENTD_AIRGAP_BUNDLE_PATH for --bundle,
K0RDENT_COSIGN_KEY for --key, K0RDENTD_VERIFY_SIGNATURE=false for --no-verify,
and for the registry K0RDENTD_REGISTRY_HOST (0.0.0.0), K0RDENTD_REGISTRY_PORT
(5000) and K0RDENTD_REGISTRY_STORAGE (/var/lib/k0rdentd/registry).
Exit codes: 0 done, 1 failed, 2 misuse, 75 try again, 130 interrupted.
END
}

bin=/usr/local/bin
state=/var/lib/k0rdentd/install # kept between runs, for root only
pack=$state/pack
run=/run/k0rdent-airgap
units=/etc/systemd/system
settings=/etc/k0rdent-airgap/oci-serve.env
own=/var/lib/k0rdentd/registry # where the unit lets the service write
prefix=k0rdent-enterprise
tools='bundle-verify bundle-version bundle-ls oci-serve oci-push k0s-extract k0s-mirror-config k0s-up k0rdent-install'
packed='k0s-extract k0s-mirror-config k0s-up' # for another host, and k0s
steps='check tools version serve push k0s mirror install'
passing='/^\{"kind":"(image|bundle|version)"|"tool":"oci-push"/d' # records that most steps only copy

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
PATH=$here/bin:$PATH:$bin

bundle=${K0RDENTD_AIRGAP_BUNDLE_PATH-} key=${K0RDENT_COSIGN_KEY-} signature='' verify=yes
listen=${K0RDENTD_REGISTRY_HOST-} port=${K0RDENTD_REGISTRY_PORT-} storage=${K0RDENTD_REGISTRY_STORAGE-} log=''
address='' external='' ca='' username='' password='' filling='' before=0 trusted=''
mode=install first='' only='' plan='' archive='' digest='' purge='' yes='' last='' stays='' kept=''
started=$(date +%s) number=1 total=1 room='' step='' child='' back='' error='' restart='' remembered='' authority='' style=''

# styled STYLE WORD: 31 is for a failure, 33 for a warning, 32 for success.
styled() { if [ -n "$1" ] && [ -t 2 ] && [ -z "${NO_COLOR-}" ] && [ "${TERM-}" != dumb ]; then printf '\033[%sm%s\033[0m' "$@"; else printf %s "$2"; fi; }
say() { printf '%s %s\n' "$(styled "$style" install.sh:)" "$*" >&2; }

# fail TEXT [HINT [CODE]]
fail() {
  error=$1 style=31
  say "$1"
  [ -z "${2-}" ] || printf '%s %s\n' "$(styled 1 hint:)" "$2" >&2
  exit "${3-1}"
}

misuse() { fail "$1" "${2-install.sh --help lists the flags}" 2; }

# meant WORD NAME…: " (did you mean NAME?)" if WORD is likely a typo of a NAME.
meant() {
  printf '%s\n' "$@" | awk '
    function least(a, b) { return a < b ? a : b }
    NR == 1 { word = $0; most = 1 + int(length(word) / 4); next }
    { # the letters to insert, delete or replace, in one row at a time
      size = length($0)
      for (j = 0; j <= size; j++) row[j] = j
      for (i = 1; i <= length(word); i++) {
        above = row[0]; row[0] = i
        for (j = 1; j <= size; j++) {
          cost = least(least(row[j], row[j - 1]) + 1, above + (substr(word, i, 1) != substr($0, j, 1)))
          above = row[j]; row[j] = cost
        }
      }
      if (row[size] <= most) { most = row[size] - 1; near = $0 }
    }
    END { if (near != "") printf " (did you mean %s?)", near }'
}

# a_flag WORD: the same for flags.
a_flag() {
  # shellcheck disable=SC2046 # words
  meant "$1" $(usage | sed -n 's/^  \(--[a-z-]*\).*/\1/p')
}

# quote WORD…: quoted for a shell.
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

# run LINE [FILE]: prints a command of the step. Its records become FILE once it has
# succeeded.
run() {
  [ -z "${2-}" ] || set -- "$1 >$2.new && cat $2.new && mv -f $2.new $2"
  if [ -n "$plan" ]; then printf '%s\n' "$1"; else printf '{ %s\n} || exit\n' "$1" 2>/dev/null || full; fi
}

full() { fail "cannot write to $state" "make room there; \"df $state\" shows what is free"; }

# perform NAME COMMAND…: runs a step, whose commands COMMAND prints, in a shell with its
# own session, so that an interruption can end all of it.
perform() {
  step=$1 begun=$(date +%s) back='' code=0
  shift
  if [ -n "$plan" ]; then
    echo "# $step"
    "$@"
    return
  fi
  say "[$number/$total] $step"
  echo "trap 'exit 130' TERM" 2>/dev/null >$state/step.new || full # after the running command
  "$@" >>$state/step.new
  setsid sh $state/step.new </dev/null >$state/records.new 9<&- &
  child=$!
  wait "$child" || code=$?
  child=''
  if [ "$code" != 0 ]; then
    case $step in serve | push) "${step}_failed" "$code" ;; esac
    exit "$code"
  fi
  collect || fail "cannot write to $log"
  note "done"
  say "[$number/$total] $step done in $(since "$begun")"
  step=''
}

# since TIME: the time elapsed.
since() { echo "$(($(date +%s) - $1)) s"; }

# note STATUS: adds the record of the step to the log.
note() {
  text=$(printf %s "$error" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/["\\]/\\&/g')
  printf '{"kind":"step","by":"install.sh","name":"%s","status":"%s","seconds":%s,"time":"%s"%s}\n' \
    "$step" "$1" $(($(date +%s) - begun)) "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${error:+,\"error\":\"$text\"}" 2>/dev/null >>"$log" || say "cannot write to $log"
}

# collect adds the step's records to the log, or those of a killed step, except copied
# ones, which are there from the push.
collect() {
  for file in pushed extracted mirrored up records; do
    case $file$step in pushed* | recordspush) through='' ;; *) through=$passing ;; esac
    [ ! -e $state/$file.new ] || sed -nE "$through;/}\$/p" $state/$file.new 2>/dev/null >>"$log" || return
  done
  rm -rf $state/*.new
}

# ended CODE ends every run. It logs a step that did not succeed.
ended() {
  trap '' INT TERM HUP
  [ -z "$room" ] || rm -rf -- "$room"
  if [ -z "$step" ] || [ -n "$plan" ]; then return 0; fi
  collect || true
  note failed
  style=31
  if [ "$1" = 130 ]; then
    say "interrupted in step $step after $(since "$begun"); run the same command to continue where it stopped"
  elif [ "$mode" = install ] && [ "$1" != 2 ] && [ "$back" != never ]; then
    from=" and --from ${back:-$step}"
    [ "$step" != check ] && [ -z "$only" ] || from=''
    say "step $step failed after $(since "$begun"); fix that, then resume with the same command$from"
  fi
}

# interrupted ends the running step and everything it started. A program that was just
# being started may have missed the first signal.
interrupted() {
  trap '' INT TERM HUP
  error=interrupted tries=0
  while [ -n "$child" ] && readlink "/proc/$child/exe" >/dev/null; do
    [ $((tries % 100)) != 0 ] || kill -s TERM -- "-$child" 2>/dev/null || kill -s TERM "$child" 2>/dev/null || true
    tries=$((tries + 1))
    sleep 0.1
  done
  exit 130
}

parse() {
  while [ $# -gt 0 ]; do
    takes=1
    case $1 in
    --[a-z]*=*)
      word=$1
      shift
      set -- "${word%%=*}" "${word#*=}" "$@"
      continue
      ;;
    --bundle) given "$@" && bundle=$2 ;;
    --add-bundle) given "$@" && as add-bundle && archive=$2 ;;
    --key) given "$@" && case $2 in *://*) key=$2 ;; *) key=$(absolute "$2") ;; esac ;;
    --signature) given "$@" && signature=$(absolute "$2") ;;
    --no-verify) verify='' ;;
    --host-address) given "$@" && address=$2 ;;
    --external-registry) given "$@" && external=${2%/} ;;
    --ca) given "$@" && ca=$(absolute "$2") ;;
    --username) given "$@" && username=$2 ;;
    --password-file) given "$@" && password=$(absolute "$2") ;;
    --from | --only)
      given "$@"
      # shellcheck disable=SC2086 # words
      case " $steps " in *" $2 "*) ;; *) misuse "invalid $1 \"$2\": must be one of $steps$(meant "$2" $steps)" ;; esac
      if [ "$1" = --from ]; then first=$2; else only=$2; fi
      ;;
    --plan) plan=yes ;;
    --log) given "$@" && log=$(absolute "$2") ;;
    --worker | --controller | --export-worker | --export-controller) given "$@" && as "${1#--}" && archive=$(absolute "$2") ;;
    --digest) given "$@" && digest=$2 ;;
    --status | --uninstall) as "${1#--}" ;;
    --purge) purge=yes ;;
    --yes) yes=yes ;;
    --last-controller) last=yes ;;
    --help | -h) usage && exit ;;
    --version) oci-push --version | sed 's/^oci-push/install.sh/' && exit ;;
    --)
      shift
      break
      ;;
    -*) misuse "unknown flag $1$(a_flag "$1")" 'install.sh --help lists the flags; those of k0s-up and k0rdent-install come after --' ;;
    *)
      case $1 in *[./]*) near='' ;; *) near=$(a_flag "--$1") ;; esac
      misuse "unexpected argument \"$1\"${near:- (did you mean --bundle $1?)}"
      ;;
    esac
    shift $takes
  done
  rest=$#
}

# given FLAG VALUE: fails without a value.
given() {
  [ -n "${2-}" ] || misuse "$1 requires a value"
  takes=2
}

# as MODE: sets the mode, once.
as() {
  [ "$mode" = install ] || misuse "--$1 and --$mode are mutually exclusive"
  mode=$1
}

absolute() { case $1 in /*) printf %s "$1" ;; *) printf %s "$PWD/$1" ;; esac; }

# matched FILE: its absolute path or, for a pattern, those of the matching parts,
# separated by colons, as the tools expect.
matched() (
  case $1 in *[*?[]*) ;; *) set -- -e "$1" ;; esac
  if [ "$1" = -e ] || [ -e "$1" ]; then
    absolute "${2-$1}"
    exit
  fi
  IFS='' all=''
  for part in $1; do
    case $part in *.sig | *.sigstore.json | *.sha256) ;; *) all=$all:$(absolute "$part") ;; esac
  done
  printf %s "${all#:}"
)

# check_flags rejects contradictory flags. A flag that a mode would ignore could be meant
# to make it harmless.
check_flags() {
  case ${K0RDENTD_VERIFY_SIGNATURE:-true} in
  true | True | TRUE | t | T | 1) ;;
  false | False | FALSE | f | F | 0) verify='' ;;
  *) misuse "invalid K0RDENTD_VERIFY_SIGNATURE=\"$K0RDENTD_VERIFY_SIGNATURE\": must be true or false" ;;
  esac
  [ -z "$purge" ] || [ "$mode" = uninstall ] || misuse '--purge requires --uninstall'
  [ "$mode" != add-bundle ] || [ "$bundle" = "${K0RDENTD_AIRGAP_BUNDLE_PATH-}" ] || misuse '--bundle and --add-bundle are mutually exclusive'
  case ${digest:+$mode} in '' | worker | controller) ;; *) misuse '--digest requires --worker or --controller' ;; esac
  [ -z "$last" ] || [ "$mode" = uninstall ] || misuse '--last-controller requires --uninstall'
  [ -z "$first" ] || [ -z "$only" ] || misuse '--from and --only are mutually exclusive'
  if [ "$mode" != install ]; then
    [ -z "$first" ] || misuse "--from and --$mode are mutually exclusive"
    [ -z "$only" ] || misuse "--only and --$mode are mutually exclusive"
    [ "$rest" = 0 ] || misuse "no flags are allowed after -- with --$mode" 'put --plan before -- to see what would be done'
  fi
  [ -z "$username" ] || [ -n "$password" ] || misuse '--username requires --password-file'
  [ -z "$password" ] || [ -n "$username" ] || misuse '--password-file requires --username'
}

# recall fills in settings that were not given: those of the last run on this host, or
# the defaults.
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
    filling) filling=$was ;; # the bundle that was pushed last, with its size,
    before) before=$was ;;   # what was stored before it,
    trusted) trusted=$was ;; # and the key that it was verified with
    esac
  done <$state/site
  [ "$external" != none ] || external='' ca='' username='' password=''
  [ -n "$external" ] || [ -z "$ca$username" ] || misuse '--ca, --username and --password-file require --external-registry'
  listen=${listen:-0.0.0.0} port=${port:-5000} storage=$(absolute "${storage:-$own}") log=${log:-/var/log/k0rdent-airgap/install.ndjson}
  case $storage/ in *[!A-Za-z0-9/._-]* | */../*) misuse "invalid K0RDENTD_REGISTRY_STORAGE=\"$storage\": must be a path of letters, digits and ._-" ;; esac
  if [ -n "$plan" ]; then bundle=${bundle:-${filling% *}} key=${key:-$trusted}; fi
  [ -z "$bundle" ] || bundle=$(matched "$bundle")
  # The registry's user becomes the owner of the whole storage, whatever its name.
  real=$(readlink -m -- "$storage")
  case $state/ in "${real%/}"/*) misuse "invalid K0RDENTD_REGISTRY_STORAGE=\"$storage\": must not contain $state, which is for root alone" ;; esac
  case $real/ in $state/*) misuse "invalid K0RDENTD_REGISTRY_STORAGE=\"$storage\": must not lie in $state, which is for root alone" ;; esac
  case $port in 0* | *[!0-9]* | ??????*) port=0 ;; esac
  { [ "$port" -ge 1 ] && [ "$port" -le 65535 ]; } || misuse "invalid K0RDENTD_REGISTRY_PORT=\"${K0RDENTD_REGISTRY_PORT-}\": must be a number from 1 to 65535"
}

# remember saves them for the next run.
remember() {
  set -- "listen=$listen" "port=$port" "storage=$storage" "address=$address" "external=$external" "ca=$ca" \
    "username=$username" "password=$password" "log=$log" "filling=$filling" "before=$before" "trusted=$trusted"
  [ "$*" = "$remembered" ] || write $state/site "$@" || true
  remembered=$*
}

systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }

root() { [ "$(id -u)" = 0 ] || fail 'this requires root' 'run it with sudo'; }

# addresses lists this host's addresses from the kernel's table: ip(8) may be missing.
addresses() {
  awk '/32 host LOCAL/ {print last} {last = $2}' /proc/net/fib_trie | sort -u | grep -v '^127\.' || true
}

# site determines the registry's address for this host (near), and for nodes and pods
# (far).
site() {
  if [ -n "$external" ]; then
    wrong="invalid --external-registry \"$external\": must be HOST[:PORT][/PREFIX]" # oci-push checks it again
    case ${external%%/*} in '' | *[!A-Za-z0-9.:[]-]* | [.:]* | *:) misuse "$wrong" ;; esac
    case ${external#"${external%%/*}"} in *[!a-z0-9._/-]* | *//*) misuse "$wrong" ;; esac
    for file in "$ca" "$password"; do [ -z "$file" ] || [ -r "$file" ] || fail "$file cannot be read"; done
    near=$external far=$external authority=$ca
    return
  fi
  named='name the one that nodes and pods can reach with --host-address'
  [ "$listen" != :: ] || misuse 'invalid K0RDENTD_REGISTRY_HOST="::": must be an address that IPv4 clients can reach' 'use 0.0.0.0 for all addresses, or one of this host'
  if [ -z "$address" ]; then
    address=$listen
    [ "$listen" != 0.0.0.0 ] || address=$(addresses)
    case $address in
    '') misuse 'this host has no address' "$named" ;;
    *'
'*) misuse "this host has several addresses: $(printf %s "$address" | tr '\n' ' ')" "$named" ;;
    esac
  fi
  # It is part of certificates and saved settings, where a mistake would persist.
  printf '%s\n' "$address" | awk -F. '/:/ {exit /[^0-9a-fA-F:.]/} NF != 4 || /[^0-9.]/ {exit 1} {for (i = 1; i <= 4; i++) if ($i == "" || $i > 255) exit 1}' ||
    misuse "$address is not the address of a host" "$named"
  case $address in 127.* | ::1) misuse "$address is a loopback address" "$named" ;; esac
  host=$address
  case $host in *:*) host="[$host]" ;; esac
  near=127.0.0.1:$port/$prefix far=$host:$port/$prefix authority=$storage/tls/ca.pem
}

# with TOOL ARGUMENT…: the command with its flags for the registry.
with() {
  tool=$1
  shift
  [ -z "$username" ] || set -- --username "$username" --password-file "$password" "$@"
  [ -z "$authority" ] || set -- --ca "$authority" "$@"
  quote "$tool" "$@"
}

# begin creates a directory for temporary files, and the log, readable only by root.
begin() {
  trap 'ended $?' EXIT
  [ -z "$plan" ] || return 0
  guarded
  mkdir -p -- ${state%/*}
  [ -d $state ] || mkdir -m 700 -- $state
  exec 9<$state
  flock -n 9 || fail 'another install.sh is at work on this host' 'wait until it has ended' 75
  [ ! -e $state/restart ] || restart=yes
  (umask 077 && mkdir -p -- "$(dirname -- "$log")" && : >>"$log") 2>/dev/null || fail "cannot write to $log" 'name another file with --log'
  collect || fail "cannot write to $log"
  trap interrupted INT TERM HUP
}

# guarded fails if another user could have written the saved settings, or linked the log
# to a file of the host.
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
  if [ -n "$plan" ]; then
    run "umask 022; export $(quote PATH="$here/bin"):\$PATH"
    run "mkdir -p ${state%/*} $(quote "$(dirname -- "$(dirname -- "$log")")") && mkdir -p -m 700 $state $(quote "$(dirname -- "$log")")"
  fi
  number=0 total=8 going=yes
  [ -z "$first$only" ] || going=''
  for name in $steps; do
    number=$((number + 1))
    case $name in "$first" | "$only") going=yes ;; esac
    [ -z "$going" ] || perform "$name" of_site "step_$name" "$@"
    [ -z "$only" ] || going=''
  done
  if [ -n "$plan$only" ]; then return; fi
  case " $* " in
  *' --plan '*) say 'the registry is filled; the cluster was only planned: run the same command without -- --plan to install it' ;;
  *)
    printf '%-13s %s\n' "${authority:+registry CA}" "$authority${authority:+, for other clients of https://$far}" \
      'another node' 'install.sh --export-worker FILE packs what it needs' 'this site' 'install.sh --status' | grep . >&2
    style=32
    say "done in $(since "$started"); every record is in $log"
    ;;
  esac
}

of_site() {
  remember
  "$@"
}

# step_check also compares the free space with what is needed: the registry stores each
# blob once, so not more than the bundle, and what it already has of this bundle is not
# counted again.
step_check() {
  # shellcheck disable=SC2086 # words
  present $tools
  inputs
  [ -z "$external" ] || return 0
  dir=$storage
  while [ ! -d "$dir" ]; do dir=$(dirname -- "$dir"); done
  need=$(($(bundle_size) * 105 / 100))
  [ "$filling" != "$bundle $(bundle_size)" ] || need=$((need + before - $(size "$storage/blobs")))
  free=$(df -Pk -- "$dir" | awk 'NR == 2 {print $4}')
  text="the bundle's content needs $(mb "$need") in $storage, where $(mb "$free") are free"
  [ "$free" -ge "$need" ] || fail "$text" 'make room, or name another place with K0RDENTD_REGISTRY_STORAGE'
  [ -z "$plan" ] || echo "# $text"
}

# whole prints the path of the bundle, without the suffix of a first part.
whole() { printf '%s\n' "${bundle%%:/*}" | sed -E 's/([._-]part[._-]?(0*[01]|a+)|[._-](0+[01]|aa+))$//'; }

# parts prints the files of the bundle, one per line.
parts() (
  at=$(whole) first=${bundle%%:/*} IFS=''
  if [ ! -e "$bundle" ]; then
    printf '%s\n' "$bundle" | sed 's|:/|\n/|g'
  elif [ "$at" = "$bundle" ] || [ -d "$bundle" ]; then
    printf '%s\n' "$bundle"
  else
    count=$(printf %s "$first" | sed -E 's/.*[._-](part)?//')
    for part in "${first%"$count"}"$(printf %s "$count" | tr '0-9a-z' '?'); do printf '%s\n' "$part"; done
  fi
)

# bundle_size prints the size of the bundle, with all its parts, in KiB.
bundle_size() { parts | while IFS='' read -r part; do size "$part"; done | awk '{n += $1} END {print n}'; }

# inputs checks that the bundle, its signature and the key exist.
inputs() {
  [ -n "$bundle" ] || misuse 'no bundle given' "name it with --bundle${filling:+; the last one was ${filling% *}}"
  parts | while IFS='' read -r part; do [ -r "$part" ] || fail "$part cannot be read"; done || exit
  if [ -z "$verify" ]; then
    style=33
    say 'WARNING: the bundle is used UNVERIFIED; anyone who could change it on its way here controls this site'
    style=''
    return
  fi
  [ -n "$key" ] || misuse 'no key given' 'name the public key of the vendor with --key, or use the bundle unverified with --no-verify'
  case $key in *://*) ;; *) [ -r "$key" ] || fail "$key cannot be read" ;; esac
  [ ! -d "$bundle" ] || fail "$bundle is a directory, which no signature is for" 'name the file that it was unpacked from, or use --no-verify'
  for s in "${signature:-$bundle.sig}" "${signature:-$(whole).sig}" "${signature:-$bundle.sigstore.json}" "${signature:-$(whole).sigstore.json}"; do
    [ ! -r "$s" ] || return 0
  done
  [ -z "$signature" ] || fail "$signature cannot be read"
  fail "neither $(whole).sig nor $(whole).sigstore.json can be read" 'copy the signature to the bundle; download.sh gets both'
}

# present TOOL…: checks that they are installed and run here.
present() {
  for tool; do
    command -v "$tool" >/dev/null || fail "$tool is missing" 'unpack the whole release archive, and run the install.sh in it'
  done
  "$1" --version >/dev/null 2>&1 || fail "the tools do not run on this $(uname -m)" 'use the release archive that is for it'
}

# size FILE|DIR: in KiB; 0 if it does not exist.
size() { { du -skL --apparent-size -- "$1" 2>/dev/null || echo 0; } | awk 'END {print $1}'; }

# mb KIB: in the units of the tools.
mb() { awk -v n="$1" 'BEGIN { n *= 1024; if (n < 1e9) printf "%.1f MB\n", n / 1e6; else printf "%.1f GB\n", n / 1e9 }'; }

# ours FILE: records, before it is created, what --uninstall removes.
ours() { grep -qxF -- "$1" $state/files 2>/dev/null || run "$(quote printf '%s\n' "$1") >>$state/files"; }

# put FILE PLACE MODE [restart]: installs it atomically, and only if it differs. With
# restart, the registry has to be restarted for it.
put() {
  if cmp -s -- "$1" "$2"; then return 0; fi
  ours "$2"
  renewed "${4-}"
  run "$(quote install -D -m "$3" "$1" "$2.new") && $(quote mv -f "$2.new" "$2")"
}

# write PLACE LINE…: the same with lines.
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
  # A package has its own unit.
  case $(systemctl show --value -p FragmentPath oci-serve.service) in
  '' | "$units/oci-serve.service") ;;
  *) return 0 ;;
  esac
  source=$here/systemd
  [ -d "$source" ] || source=$here/lib/systemd
  [ -f "$source/oci-serve.service" ] || fail 'oci-serve.service is missing' 'unpack the whole release archive, and run the install.sh in it'
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

# step_serve starts the registry, unless it is already running with these settings.
step_serve() {
  if [ -n "$external" ]; then
    [ -z "$plan" ] || echo "# nothing: $external serves"
    return 0
  fi
  # Only an empty directory, or a registry's, is used as storage.
  [ ! -d "$storage" ] || [ -d "$storage/blobs" ] || [ -z "$(find "$storage/" -mindepth 1 ! -name lost+found | head -n 1)" ] ||
    fail "$storage contains other files" 'name an empty directory'
  if systemd; then serve_unit; else serve_alone; fi
  [ -z "$restart" ] || run "rm -f $state/restart"
}

# serve_unit: settings in the operator's environment file override these.
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
  how=start
  [ -z "$restart" ] || how=restart
  run 'systemctl daemon-reload && systemctl enable --quiet oci-serve.service'
  run "systemctl $how oci-serve.service" # it is ready when that returns
}

# serve_alone: without systemd, oci-serve runs in the background, as the current user,
# until the host is shut down; it writes its record when it accepts connections.
serve_alone() {
  program=$bin/oci-serve # which stays when what was carried in goes
  [ -x "$program" ] || [ -n "$plan" ] || program=$(command -v oci-serve)
  set -- "$program" --host "$listen" --port "$port" --storage "$storage" --tls auto --tls-name "$address"
  if alone && [ -z "$restart" ] && printf '%s\0' "$@" | cmp -s - "/proc/$pid/cmdline"; then return 0; fi
  stop_alone
  run "$(quote mkdir -p $run "$storage")"
  run "{ $(quote setsid "$@") 2>>$(quote "$(dirname -- "$log")/oci-serve.log") & } | head -n 1 >$run/oci-serve.record; grep . $run/oci-serve.record"
  [ -n "$plan" ] || say 'without systemd: run install.sh --only serve after each start of this host'
}

# alone reports whether an oci-serve of ours runs without systemd, as process $pid.
alone() {
  pid=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' $run/oci-serve.record 2>/dev/null)
  case $(readlink "/proc/${pid:-none}/exe" || true) in */oci-serve*) ;; *) return 1 ;; esac
}

# stop_alone stops it; transfers have 30 seconds to finish.
stop_alone() { ! alone || run "kill $pid && while [ -e /proc/$pid/exe ]; do sleep 0.1; done"; }

# serve_failed: oci-serve did not start. If another program has the port, root can
# find out which, where the service cannot.
serve_failed() {
  who=$(timeout 2 oci-serve --host "$listen" --port "$port" --storage $state/none.new 2>&1 >/dev/null </dev/null | sed -n 's/^oci-serve: \(port .*)\): .*/\1/p')
  [ -z "$who" ] || fail "$who" 'stop that program, or set K0RDENTD_REGISTRY_PORT to another port' 75
  if systemd; then # whose journal is up to date by now
    why=$(journalctl -q "_PID=$(systemctl show --value -p ExecMainPID oci-serve.service)" -n 2 -o cat --no-pager)
  else
    why=$(tail -n 2 "$(dirname -- "$log")/oci-serve.log")
  fi
  printf '%s\n' "$why" >&2
  case $why in *'in use'*) fail 'oci-serve does not start' '' 75 ;; esac
  fail 'oci-serve does not start'
}

# step_push reads the bundle once, verifying and sending at the same time; oci-push
# publishes nothing before bundle-verify has reported a good signature.
step_push() {
  inputs
  named="$bundle $(bundle_size)" trusted=${verify:+$key}
  [ "$filling" = "$named" ] || filling=$named before=$(size "$storage/blobs")
  remember
  [ -n "$plan" ] || estimate
  feed "$near" $state/pushed
}

# feed PLACE [FILE]: the command that verifies the bundle and pushes it there.
feed() {
  to=$1 file=${2-}
  if [ -n "$verify" ]; then
    set -- bundle-verify --quiet --key "$key" "$bundle"
    [ -z "$signature" ] || set -- bundle-verify --quiet --key "$key" --signature "$signature" "$bundle"
    run "$(quote "$@") | bundle-version --quiet | $(with oci-push --to "$to" --verified-by - "$bundle")" "$file"
  else
    run "{ $(quote bundle-version --quiet "$bundle") && $(with oci-push --to "$to" "$bundle"); }" "$file"
  fi
}

# add pushes one of the vendor's further bundles, verified like the first.
add() {
  [ -n "$plan" ] || root
  [ -n "$external" ] || [ -r $state/site ] || fail 'no registry is known on this host' 'install the platform first: install.sh --bundle FILE --key FILE'
  bundle=$(matched "$archive")
  site
  begin
  perform push step_add
  [ -n "$plan" ] || say "$(basename -- "$(whole)") is in https://$(beside "$far"); its files, if any, are at https://${far%%/*}/files/"
}

# beside PLACE: where the registry has the repositories of further bundles, whose
# names are whole: next to the platform's directory, not in it.
beside() { case $1 in */*) printf %s "${1%/*}" ;; *) printf %s "$1" ;; esac; }

step_add() {
  present bundle-verify bundle-version oci-push
  inputs
  to=$(beside "$near")
  type=$(bundle-version --quiet --format '{{.type}}' "$bundle") || exit
  case $type in
  bare-metal) ;;
  ceph) to=$to/ceph ;; # as in the vendor's guide
  *) fail "$bundle is the platform's own bundle" 'install it with --bundle' ;;
  esac
  [ -n "$plan" ] || estimate
  feed "$to"
}

# estimate prints how long reading the bundle takes, judging by its first 256 MB, if
# that is more than a minute.
estimate() {
  [ ! -d "$bundle" ] || return 0
  from=$(date +%s%N)
  got=$(head -c 256000000 -- "${bundle%%:/*}" | wc -c)
  awk -v got="$got" -v ns=$(($(date +%s%N) - from)) -v all="$(($(bundle_size) * 1024))" 'BEGIN {
    if (got == 0 || ns <= 0) exit
    rate = got / ns * 1e9
    left = all / rate
    if (left < 60) exit
    printf "install.sh: %.1f GB to read at %.1f MB/s: at least ", all / 1e9, rate / 1e6
    if (left < 120) printf "%d s\n", left + 1; else printf "%d minutes\n", left / 60
  }' >&2
}

# push_failed: for a bundle that is not the vendor's, the last message is to stop.
push_failed() {
  grep -qs '"signature":"bad"' $state/pushed.new $state/records.new || return 0
  back=never
  fail "STOPPED: the bundle is not what the owner of $(basename -- "$key") signed; nothing was published" \
    "compare $(basename -- "${bundle%%:/*}") with the vendor's checksum and $(basename -- "$key") with a copy obtained by another route"
}

# pushed checks that the push is on record: nothing else is installed.
pushed() {
  [ -z "$plan" ] || return 0
  back=push
  [ -s $state/pushed ] || fail 'nothing has been pushed yet'
  [ "$(grep -c '^{"kind":"image",.*"tag":"[^"]*","digest":"sha256:' $state/pushed)" = "$(grep -c '"tag":"' $state/pushed)" ] ||
    fail "$state/pushed does not have the digest of every image"
  back=version
  grep -q '"repository":"k0sproject/k0s"' $state/pushed || fail 'the bundle holds no k0s' 'get a bundle that holds one'
  back=''
}

# step_k0s installs k0s from the registry, without reading 22 GB again, and by the
# pushed digests: others may have moved the tags since.
step_k0s() {
  pushed
  line="grep '\"repository\":\"k0sproject/k0s\"' $state/pushed | "
  [ -e $bin/k0s ] || ours $bin/k0s
  all="$line$(with k0s-extract --from "$near" --to $bin/k0s -)"
  [ -n "$external" ] || all="{ $line$(with k0s-extract --quiet --from "$near" --name --to "$storage/k0s" -) && $all; }"
  run "$all" $state/extracted
}

step_mirror() { run "$(with k0s-mirror-config --mirror "https://$far" --k0s $bin/k0s) </dev/null" $state/mirrored; }

# step_install passes on the release and the pushed digests, which both tools require
# from then on. Both check everything before the host is changed.
step_install() {
  pushed
  case " $* " in *' --plan '*) ;; *) both --plan --quiet "$@" ;; esac
  both "$@"
}

# both FLAG…: sets up the host, then the platform on it.
both() {
  run "cat $state/pushed $state/extracted $state/mirrored 2>/dev/null | $(with k0s-up --registry "$far" ${address:+--api-address "$address"})$(flags host "$@")" $state/up
  run "{ cat $state/pushed && grep '^{\"kind\":\"cluster\"' $state/up; } | $(with k0rdent-install --registry "$far")$(flags platform "$@")"
}

# flags WHO FLAG…: those flags that the host's tool, or the platform's, has.
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

# status prints the state of this site.
status() {
  [ -r $state/site ] || fail 'nothing is installed on this host, or this user may not look'
  site
  well=0
  if [ -n "$external" ]; then
    serves="https://$far, an external registry"
  elif systemctl -q is-active oci-serve.service 2>/dev/null || alone; then
    serves="https://$far, served by this host from $storage"
  else
    serves='not running; install.sh --only serve starts it' well=1
  fi
  release=$(sed -n 's/^{"kind":"version".*"version":"\([^"]*\)".*/\1/p' $state/pushed 2>/dev/null | tail -n 1)
  nodes=$(k0s kubectl get nodes --no-headers 2>&1) || well=1
  platform=$(k0s kubectl get management kcm --no-headers 2>&1) || well=1
  ended=$(grep '"by":"install.sh"' "$log" 2>/dev/null | tail -n 1 | sed 's/.*"name":"\([^"]*\)","status":"\([^"]*\)".*"time":"\([^"]*\)".*/step \1 \2 at \3/')
  printf '%-9s %s\n' registry "$serves" release "${release:-none was pushed}" last\ run "${ended:-none}"
  printf '%s\n' "$nodes" | sed 's/^/node      /'
  printf '%s\n' "$platform" | sed 's/^/k0rdent   /'
  return $well
}

# join makes this host a node. Nothing in the archive is used before the whole archive
# is verified in a private copy.
join() {
  [ -n "$plan" ] || root
  again="pack another with install.sh --export-$mode"
  [ ! -d "$archive" ] || fail "$archive is a directory" "name the file that install.sh --export-$mode wrote"
  [ -r "$archive" ] || fail "$archive cannot be read"
  begin
  room=$(mktemp -d 2>/dev/null) || fail "cannot create a directory in ${TMPDIR:-/tmp}"
  no_room="cannot write to ${TMPDIR:-/tmp}: $archive does not fit"
  cat -- "$archive" 2>/dev/null >"$room/archive" || fail "$no_room" 'make room there, or set TMPDIR to a directory with more'
  authentic "$room/archive"
  mkdir "$room/node"
  if ! tar xzf "$room/archive" -C "$room/node" 2>"$room/why"; then
    ! grep -q 'No space' "$room/why" || fail "$no_room" 'make room there, or set TMPDIR to a directory with more'
    fail "$archive cannot be unpacked" "$again"
  fi
  rm -f "$room/archive"
  [ -z "$(find "$room/node" ! -type d ! -type f -o -type f -links +1)" ] || fail "$archive has links or devices in it" "$again"
  [ -f "$room/node/join.sh" ] || fail "$archive does not hold a join.sh" "$again"
  grep -qx "role=$mode" "$room/node/join.sh" || fail "$archive is not for a $mode" 'use it with the flag that install.sh printed when it was packed'
  if [ -n "$plan" ]; then
    code=0
    sh "$room/node/join.sh" --plan >"$room/planned" || code=$?
    sed -E "$passing" "$room/planned"
    return "$code"
  fi
  perform "$mode" joined
  say "$archive contains a join token: remove it, or keep it where nobody else can read it"
}

# joined keeps the tools on the host that --uninstall needs later.
joined() {
  for tool in $packed; do put "$room/node/$tool" "$bin/$tool" 755; done
  put "$here/$(basename -- "$0")" $bin/k0rdent-airgap-install 755
  [ -e $bin/k0s ] || ours $bin/k0s
  run "$(quote sh "$room/node/join.sh")"
}

# authentic FILE: checks the digest that was printed when it was packed, which the
# operator brought here by a different route.
authentic() {
  if [ -z "$digest" ]; then
    [ -t 0 ] || misuse "the digest of $archive is needed: it holds programs that run as root" "run the command that install.sh --export-$mode printed: install.sh --$mode ARCHIVE --digest sha256:..."
    printf 'install.sh: the digest that --export-%s printed for %s: ' "$mode" "$archive" >&2
    read -r digest || digest=none
  fi
  want=$(printf %s "${digest#sha256:}" | tr A-F a-f)
  case $want in *[!0-9a-f]*) want='' ;; esac
  [ ${#want} = 64 ] || misuse "invalid --digest \"$digest\": must be sha256: and 64 hexadecimal digits" "install.sh --export-$mode prints it"
  has=$(sha256sum <"$1" | cut -c 1-64)
  [ "$has" = "$want" ] || fail "$archive has the digest sha256:$has, not sha256:$want" "copy it again; if that does not help, it was changed on the way: $again"
}

# export_node packs everything that another host needs: the tools and files that made
# the first one a node. It works in a directory of root's, since others may replace
# files elsewhere.
export_node() {
  role=${mode#export-}
  [ -n "$plan" ] || root
  site
  begin
  [ -z "$plan" ] || echo "# what is packed has a digest, which a run prints"
  perform "$mode" pack
  if [ -n "$plan" ]; then
    run "rm -rf $pack"
    return
  fi
  digest=$(sha256sum <$pack/archive | cut -c 1-64)
  rm -rf $pack
  say "copy $archive to the $role, where nobody else can read it, and run there:"
  say "  install.sh --$role $(basename -- "$archive") --digest sha256:$digest"
  say 'the digest authenticates the archive: write it down, or send it by a different route'
}

pack() {
  run "rm -rf $pack && mkdir -m 700 $pack"
  run "$(quote k0s-up --quiet --token "$role" --token-file $pack/token --k0s $bin/k0s) </dev/null"
  set -- k0s token join.sh records
  for file in $packed; do set -- "$@" "$file"; done
  line="$(quote cp $bin/k0s) $(for tool in $packed; do printf '%s ' "$(quote "$(command -v "$tool")")"; done)$pack/ && cat $state/pushed >$pack/records"
  [ -n "$plan" ] || [ -e $state/pushed ] || line=${line%&& *}"&& : >$pack/records"
  if [ -n "$authority" ]; then line="$line && $(quote cp "$authority" $pack/ca.pem)" && set -- "$@" ca.pem; fi
  if [ -n "$username" ]; then line="$line && $(quote cp "$password" $pack/password)" && set -- "$@" password; fi
  if [ "$role" = controller ]; then line="$line && cp /etc/k0s/k0s.yaml $pack/" && set -- "$@" k0s.yaml; fi
  run "$line"
  run "$(quote printf '%s\n' "$(join_script)") >$pack/join.sh"
  run "(cd $pack && $(quote sha256sum "$@") >SHA256SUMS && $(quote tar --owner=0 --group=0 --numeric-owner -czf archive SHA256SUMS "$@"))"
  run "$(quote install -m 600 $pack/archive "$archive.new") && $(quote mv -f "$archive.new" "$archive")"
}

# join_script prints the script that makes the other host a node.
join_script() {
  login=${authority:+ --ca ca.pem}${username:+ $(quote --username "$username") --password-file password}
  cat <<END
#!/bin/sh
# Makes this host a $role of the cluster, with the files next to this one; --plan
# shows how. Other flags are those of k0s-up. Run again, it completes what is missing.
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
  # The role of this host decides what may be removed. If it is unknown, stop here.
  set -- --reset ${last:+--last-controller}
  planned=$(k0s-up "$@" --plan --quiet --format '{{.cluster}} {{.name}} {{.status}}: {{.detail}}' </dev/null) || exit
  case $planned in *'stays preflight '*) stays=yes ;; esac
  [ -n "$stays" ] || present k0rdent-install
  if [ -n "$stays" ] && [ -z "$external" ] && [ -d "$storage/blobs" ]; then kept=yes; fi
  [ -z "$kept" ] || [ -z "$purge" ] || fail 'the hosts of the remaining cluster pull from the registry on this host' \
    'run this without --purge now, and with it once no host pulls from here any more'
  if [ -n "$plan" ]; then
    [ -n "$stays" ] || k0rdent-install --uninstall --plan --quiet --format '# {{.name}} {{.status}}: {{.detail}}' </dev/null || [ $? = 75 ]
    printf '%s\n' "$planned" | sed 's/^/# /'
  else
    root
    ask
  fi
  begin
  perform uninstall remove "$@"
  [ -z "$purge" ] || forget
  [ -z "$plan" ] || return 0
  summary
  [ -z "$kept$purge" ] || return 0
  for left in "$storage" "$(dirname -- "$log")" $state $settings; do [ ! -e "$left" ] || say "$left stays, until --uninstall --purge"; done
}

# ask asks for confirmation of what will be removed.
ask() {
  [ -z "$yes" ] || return 0
  if [ -n "$stays" ]; then
    printf 'install.sh: remove this host from its cluster, which keeps running, and k0s with its data? [y/N] ' >&2
  else
    registry=" and the registry${purge:+ with all that it holds}"
    [ -z "$external" ] || registry=''
    printf 'install.sh: remove k0rdent, k0s%s from this host? [y/N] ' "$registry" >&2
  fi
  read -r answer || answer=n
  case $answer in y | Y | yes) ;; *) fail 'nothing was removed' ;; esac
}

# summary prints what was removed and what was not.
summary() {
  gone='k0rdent, k0s and the registry are removed'
  [ -z "$external" ] || gone="k0rdent and k0s are removed; the registry $external is as it was"
  [ -z "$stays" ] || gone='k0s is removed, and this host has left its cluster, which keeps running'
  say "$gone; reboot the host to clear leftover network state"
  [ -z "$worker" ] || say "on a controller, k0s kubectl delete node $(uname -n | tr '[:upper:]' '[:lower:]') removes its Node"
  [ -z "$kept" ] || say 'this host still serves the registry that the others pull from; install.sh --uninstall once more removes it'
}

# remove stops at the first failure: what is left is needed to remove the rest. The
# platform is removed first, unless its cluster keeps running, or no longer answers.
# It takes the arguments of k0s-up.
remove() {
  [ -n "$stays" ] || run 'k0rdent-install --uninstall --yes </dev/null || [ $? = 75 ] # it goes with its cluster'
  run "$(quote k0s-up "$@" --yes) </dev/null"
  run "$(quote k0s-mirror-config --remove --k0s $bin/k0s) </dev/null"
  if [ -n "$kept" ]; then # the registry and what removes it later stay
    [ -z "$plan" ] || echo "# oci-serve keeps serving $storage"
    ! grep -qxF $bin/k0s $state/files 2>/dev/null || run "rm -f $bin/k0s"
    return
  fi
  stop_alone
  if systemd && [ -n "$(systemctl show --value -p FragmentPath oci-serve.service)" ]; then
    run 'systemctl disable --quiet --now oci-serve.socket oci-serve.service || ! systemctl is-active --quiet oci-serve.service'
  fi
  if [ -n "$purge" ] && [ -d "$storage/blobs" ]; then run "$(quote oci-serve --purge --yes --storage "$storage")"; fi
  # Our files, except what --purge removes: the registry's user and location.
  set --
  [ ! -f $state/files ] || while IFS= read -r file; do
    case $file in user/* | "$settings") continue ;; esac
    for one in "$file" "$file.new"; do [ ! -e "$one" ] || set -- "$@" "$one"; done
  done <$state/files
  [ $# = 0 ] || run "$(quote rm -f -- "$@")"
  if systemd; then run 'systemctl daemon-reload'; fi
  tidy $units/oci-serve.service.d /etc/k0s/containerd.d /etc/k0s
  run "rm -f $state/pushed* $state/extracted* $state/mirrored* $state/up* $state/restart $run/oci-serve.*"
  [ -n "$purge" ] || return 0
  if grep -qxF user/oci-serve $state/files 2>/dev/null; then
    run 'userdel oci-serve && { ! getent group oci-serve >/dev/null || groupdel oci-serve; } || echo "install.sh: the user oci-serve stays" >&2'
  fi
  if grep -qxF $settings $state/files 2>/dev/null; then
    run "rm -f $settings"
    tidy "$(dirname $settings)"
  fi
  tidy "$storage" $own # the unit makes the latter wherever the storage is
}

# tidy DIR…: removes empty directories.
tidy() { for dir; do if [ -d "$dir" ]; then run "$(quote rmdir "$dir") 2>/dev/null || true"; fi; done; }

# forget removes the last files, which this run needed.
forget() {
  set -- rm -rf $state $run "$log" "$(dirname -- "$log")/oci-serve.log"
  if [ -n "$plan" ]; then
    run "$(quote "$@")"
    return
  fi
  "$@"
  rmdir -- "$(dirname -- "$log")" "${state%/*}" 2>/dev/null || true
}

for word; do
  case $word in
  --) break ;;
  --download)
    [ -f "$here/download.sh" ] || misuse '--download is now a script of its own' 'run download.sh VERSION, which is next to install.sh in the release archive'
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
status) status ;;
worker | controller) join ;;
export-*) export_node ;;
add-bundle) add ;;
uninstall) uninstall ;;
esac
