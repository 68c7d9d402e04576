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
usage: install.sh --bundle FILE --key FILE [flags] [-- TOOL FLAGS]
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
  mirror    make containerd pull from the site's registry only
  install   start k0s, install k0rdent, wait until it is ready

Bundle:
  --bundle FILE         the vendor's airgap-bundle-VERSION.tar.gz, its first
                        part, or a pattern in quotes that matches all its parts
  --key FILE            the vendor's public key
  --signature FILE      the bundle's signature (default FILE.sig or
                        FILE.sigstore.json next to it)
  --no-verify           use the bundle unverified
  --add-bundle FILE     push one of the vendor's other bundles, bare metal or
                        Ceph, to the registry of this site

Registry:
  --host-address IP     the address of this host for nodes and pods
                        (default: its only one)
  --external-registry HOST[:PORT][/PREFIX]
                        push to this registry instead of serving one; "none"
                        switches back
  --ca FILE             certificate authorities of the external registry, in PEM
  --username NAME       user name for the external registry
  --password-file FILE  file that contains the password

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
  --digest DIGEST       the archive's digest, printed when it was packed

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

Flags after -- are passed to k0s-up and k0rdent-install. The registry's address
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
env=/etc/k0rdent-airgap/oci-serve.env
own=/var/lib/k0rdentd/registry # where the unit lets the service write
prefix=k0rdent-enterprise
tools='bundle-verify bundle-version bundle-ls oci-serve oci-push k0s-extract k0s-mirror-config k0s-up k0rdent-install'
packed='k0s-extract k0s-mirror-config k0s-up' # for another host, and k0s
steps='check tools version serve push k0s mirror install'
modes='add-bundle export-worker export-controller worker controller status uninstall'
passing='/^\{"kind":"(image|bundle|version)"|"tool":"oci-push"/d' # records that most steps only copy
settings='listen port storage address external ca username password log filling trusted' # for the next run

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
PATH=$here/bin:$PATH:$bin

# Flags. Each sets the variable of its name.
bundle='' key='' signature='' no_verify='' add_bundle='' host_address='' external_registry='' ca='' username='' password_file=''
from='' only='' plan='' digest='' purge='' yes='' last_controller='' log=''
# shellcheck disable=SC2034 # read by eval
export_worker='' export_controller='' worker='' controller='' uninstall='' status=''
# Others that are empty at first.
listen=${K0RDENTD_REGISTRY_HOST-} port=${K0RDENTD_REGISTRY_PORT-} storage=${K0RDENTD_REGISTRY_STORAGE-}
mode=install verify=yes archive='' size='' filling='' trusted='' authority='' remembered='' restart='' stays='' kept=''
started=$(date +%s) number=1 total=1 room='' step='' child='' resume='' error='' style=''

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

# listed FLAG prints the flag and what follows it in the usage.
listed() { usage | awk -v flag="$1" '$1 == flag {print $1, $2}'; }

# meant FLAG: " (did you mean …?)", with the flags that begin like it.
meant() {
  usage | awk -v begin="$(printf %.4s "$1")" '/^  --/ && substr($1, 1, 4) == begin {near = near (near ? " or " : "") $1}
    END {if (near) printf " (did you mean %s?)", near}'
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
  if [ -n "$plan" ]; then printf '%s\n' "$1"; else printf '{ %s\n} || exit\n' "$1"; fi
}

# perform NAME COMMAND…: runs a step, whose commands COMMAND prints, in a shell with its
# own session, so that an interruption can end all of it.
perform() {
  step=$1 begun=$(date +%s) resume=$1 code=0
  shift
  if [ -n "$plan" ]; then
    echo "# $step"
    "$@"
    return
  fi
  say "[$number/$total] $step"
  echo "trap 'exit 130' TERM" >$state/step.new # after the running command
  "$@" >>$state/step.new
  setsid sh $state/step.new </dev/null >$state/records.new 9<&- &
  child=$!
  wait "$child" || code=$?
  child=''
  if [ "$code" != 0 ]; then
    case $step in serve | push) "${step}_failed" ;; esac
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
  elif [ "$mode" = install ] && [ "$1" != 2 ] && [ -n "$resume" ]; then
    resume=" and --from $resume"
    [ "$step" != check ] && [ -z "$only" ] || resume=''
    say "step $step failed after $(since "$begun"); fix that, then resume with the same command$resume"
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

absolute() { case $1 in /*) printf %s "$1" ;; *) printf %s "$PWD/$1" ;; esac; }

# check_flags sets the mode, and rejects contradictory flags: one that a mode would
# ignore could be meant to make it harmless. It gets what followed --.
check_flags() {
  for word in $modes; do
    eval "value=\$$(printf %s "$word" | tr - _)"
    [ -n "$value" ] || continue
    [ "$mode" = install ] || misuse "--$word and --$mode are mutually exclusive"
    mode=$word archive=$value
  done
  [ "$mode" != add-bundle ] || [ -z "$bundle" ] || misuse '--bundle and --add-bundle are mutually exclusive'
  case " $steps " in *" ${from:-check} "*) ;; *) misuse "invalid --from \"$from\": must be one of $steps" ;; esac
  case " $steps " in *" ${only:-check} "*) ;; *) misuse "invalid --only \"$only\": must be one of $steps" ;; esac
  [ -z "$from" ] || [ -z "$only" ] || misuse '--from and --only are mutually exclusive'
  for word in ${from:+from} ${only:+only}; do [ "$mode" = install ] || misuse "--$word and --$mode are mutually exclusive"; done
  [ "$mode" = install ] || [ $# = 0 ] || misuse "no flags are allowed after -- with --$mode" 'put --plan before -- to see what would be done'
  for word in ${purge:+purge} ${last_controller:+last-controller}; do [ "$mode" = uninstall ] || misuse "--$word requires --uninstall"; done
  case ${digest:+$mode} in '' | worker | controller) ;; *) misuse '--digest requires --worker or --controller' ;; esac
  [ -z "$username" ] || [ -n "$password_file" ] || misuse '--username requires --password-file'
  [ -z "$password_file" ] || [ -n "$username" ] || misuse '--password-file requires --username'
}

# settle fills in what was not given: from variables, from the last run on this host, or
# the defaults.
settle() {
  case $no_verify${K0RDENTD_VERIFY_SIGNATURE:-true} in
  true | True | TRUE | t | T | 1) ;;
  yes* | false | False | FALSE | f | F | 0) verify='' ;;
  *) misuse "invalid K0RDENTD_VERIFY_SIGNATURE=\"$K0RDENTD_VERIFY_SIGNATURE\": must be true or false" ;;
  esac
  key=${key:-${K0RDENT_COSIGN_KEY-}} bundle=${bundle:-${add_bundle:-${K0RDENTD_AIRGAP_BUNDLE_PATH-}}}
  address=$host_address external=${external_registry%/} password=$password_file
  for word in signature ca password log; do eval "[ -z \"\$$word\" ] || $word=\$(absolute \"\$$word\")"; done
  case $key in '' | *://*) ;; *) key=$(absolute "$key") ;; esac
  # shellcheck disable=SC2034 # was is read by eval
  [ ! -r $state/site ] || while IFS='=' read -r word was; do
    case " $settings " in *" $word "*) eval "$word=\${$word:-\$was}" ;; esac
  done <$state/site
  [ "$external" != none ] || external='' ca='' username='' password=''
  [ -n "$external" ] || [ -z "$ca$username" ] || misuse '--ca, --username and --password-file require --external-registry'
  listen=${listen:-0.0.0.0} port=${port:-5000} storage=$(absolute "${storage:-$own}") log=${log:-/var/log/k0rdent-airgap/install.ndjson}
  if [ -n "$plan" ]; then bundle=${bundle:-${filling% *}} key=${key:-$trusted}; fi
  case $port in 0* | *[!0-9]* | ??????*) port=0 ;; esac
  { [ "$port" -ge 1 ] && [ "$port" -le 65535 ]; } || misuse "invalid K0RDENTD_REGISTRY_PORT=\"${K0RDENTD_REGISTRY_PORT-}\": must be a number from 1 to 65535"
  wrong="invalid K0RDENTD_REGISTRY_STORAGE=\"$storage\": must"
  case $storage/ in *[!A-Za-z0-9/._-]* | */../*) misuse "$wrong be a path of letters, digits and ._-" ;; esac
  # The registry's user becomes the owner of the whole storage, whatever its name.
  real=$(readlink -m -- "$storage")
  case $state/ in "${real%/}"/*) misuse "$wrong not contain $state, which is for root alone" ;; esac
  case $real/ in $state/*) misuse "$wrong not lie in $state, which is for root alone" ;; esac
}

# remember saves the settings for the next run.
remember() {
  set --
  for word in $settings; do eval "set -- \"\$@\" \"$word=\$$word\""; done
  [ "$*" = "$remembered" ] || write $state/site "$@" || true
  remembered=$*
}

systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }

root() { [ "$(id -u)" = 0 ] || fail 'this requires root' 'run it with sudo'; }

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
    # From the kernel's table: ip(8) may be missing.
    [ "$listen" != 0.0.0.0 ] || address=$(awk '/32 host LOCAL/ && last !~ /^127\./ {print last} {last = $2}' /proc/net/fib_trie | sort -u | xargs)
    case $address in
    '') misuse 'this host has no address' "$named" ;;
    *' '*) misuse "this host has several addresses: $address" "$named" ;;
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
  quote "$tool" ${authority:+--ca "$authority"} ${username:+--username "$username" --password-file "$password"} "$@"
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
  full=''
  { head -c 65536 /dev/zero >$state/room.new; } 2>/dev/null || full=yes
  rm -f $state/room.new
  [ -z "$full" ] || fail "cannot write to $state" "make room there; \"df $state\" shows what is free"
  trap interrupted INT TERM HUP
}

# guarded fails if another user could have written the saved settings, or linked the log
# to a file of the host.
guarded() {
  for dir in ${state%/*} $state; do
    case $(stat -c '%u %A' -- "$dir" 2>/dev/null) in
    '' | 0\ d????-??-?) ;;
    *) fail "$dir is not a directory that only root can change" "look at what is in it; chown root $dir and chmod 755 $dir if that is yours" ;;
    esac
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
  [ -z "$from$only" ] || going=''
  for name in $steps; do
    number=$((number + 1))
    case $name in "$from" | "$only") going=yes ;; esac
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
# blob once, so not more than the bundle. Once its push has begun there, oci-push reports
# a full disk.
step_check() {
  # shellcheck disable=SC2086 # words
  present $tools
  inputs
  if [ -n "$external" ] || { [ "$filling" = "$bundle $size" ] && [ -d "$storage/blobs" ]; }; then return 0; fi
  dir=$storage
  while [ ! -d "$dir" ]; do dir=$(dirname -- "$dir"); done
  need=$((size * 105 / 102400)) free=$(df -Pk -- "$dir" | awk 'NR == 2 {print $4}')
  text="the bundle's content needs $(mb "$need") in $storage, where $(mb "$free") are free"
  [ "$free" -ge "$need" ] || fail "$text" 'make room, or name another place with K0RDENTD_REGISTRY_STORAGE'
  [ -z "$plan" ] || echo "# $text"
}

# mb KIB: in the units of the tools.
mb() { awk -v n="$1" 'BEGIN {n *= 1024; if (n < 1e9) printf "%.1f MB\n", n / 1e6; else printf "%.1f GB\n", n / 1e9}'; }

# inputs has bundle-verify check that the bundle, its signature and the key are there.
inputs() {
  if [ -z "$verify" ]; then
    style=33
    say 'WARNING: the bundle is used UNVERIFIED; anyone who could change it on its way here controls this site'
    style=''
    find_bundle
  else
    [ -z "$bundle" ] || [ -n "$key" ] || misuse 'no key given' 'name the public key of the vendor with --key, or use the bundle unverified with --no-verify'
    find_bundle --key "$key" ${signature:+--signature "$signature"}
  fi
}

# find_bundle FLAG…: sets the bundle, which may be a pattern or any part, to the name
# that its parts have as a whole, and its size.
find_bundle() {
  [ -n "$bundle" ] || misuse 'no bundle given' "name it with --bundle${filling:+; the last one was ${filling% *}}"
  found=$(
    IFS=''
    [ ! -e "$bundle" ] || set -f
    # shellcheck disable=SC2086 # a pattern
    bundle-verify --plan --quiet --format '{{.size}} {{.path}}' "$@" $bundle
  ) || exit
  size=${found%% *} bundle=${found#* }
}

# present TOOL…: checks that they are installed and run here.
present() {
  for tool; do
    command -v "$tool" >/dev/null || fail "$tool is missing" 'unpack the whole release archive, and run the install.sh in it'
  done
  "$1" --version >/dev/null 2>&1 || fail "the tools do not run on this $(uname -m)" 'use the release archive that is for it'
}

# ours FILE: records, before it is created, what --uninstall removes.
ours() { grep -qxF -- "$1" $state/files 2>/dev/null || run "$(quote printf '%s\n' "$1") >>$state/files"; }

# put FILE PLACE MODE: installs it atomically, and only if it differs.
put() {
  if cmp -s -- "$1" "$2"; then return 0; fi
  ours "$2"
  case $2 in */oci-serve | */oci-serve.service) renewed ;; esac
  run "$(quote install -D -m "$3" "$1" "$2.new") && $(quote mv -f "$2.new" "$2")"
}

# write PLACE LINE…: the same with lines; it fails if they are there.
write() {
  place=$1
  shift
  if printf '%s\n' "$@" 2>/dev/null | cmp -s - "$place"; then return 1; fi
  run "$(quote mkdir -p "$(dirname "$place")") && $(quote printf '%s\n' "$@") >$(quote "$place.new") && $(quote mv -f "$place.new" "$place")"
}

# renewed: the registry has to be restarted, by the next run if this one is killed.
renewed() { [ -n "$restart" ] || run ": >$state/restart"; restart=yes; }

step_tools() {
  if [ -x "$here/bin/oci-serve" ]; then
    for tool in $tools; do put "$here/bin/$tool" "$bin/$tool" 755; done
    put "$here/install.sh" "$bin/k0rdent-airgap-install" 755
  fi
  if ! systemd || [ -n "$external" ]; then return 0; fi
  # A package has its own unit.
  case $(systemctl show --value -p FragmentPath oci-serve.service) in '' | "$units/oci-serve.service") ;; *) return 0 ;; esac
  source=$here/systemd
  [ -d "$source" ] || source=$here/lib/systemd
  [ -f "$source/oci-serve.service" ] || fail 'oci-serve.service is missing' 'unpack the whole release archive, and run the install.sh in it'
  put "$source/oci-serve.service" "$units/oci-serve.service" 644
  put "$source/oci-serve.sysusers" /etc/sysusers.d/oci-serve.conf 644
  [ -e $env ] || put "$source/oci-serve.env" $env 644 # it is the operator's from then on
  id oci-serve >/dev/null 2>&1 || ours user/oci-serve
  run 'systemd-sysusers /etc/sysusers.d/oci-serve.conf'
}

step_version() {
  [ -n "$size" ] || find_bundle
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
  printf '%s\n' "$@" | cmp -s - $conf || { ours $conf && renewed; }
  write $conf "$@" || true
  if [ "$storage" != $own ] && [ "$(stat -c %U "$storage" 2>/dev/null)" != oci-serve ]; then
    run "$(quote mkdir -p "$storage") && $(quote chown -hR oci-serve: "$storage")"
  fi
  run 'systemctl daemon-reload && systemctl enable --quiet oci-serve.service'
  run "systemctl ${restart:+re}start oci-serve.service" # it is ready when that returns
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
  case $why in *'in use'*) code=75 ;; *) code=1 ;; esac
  fail 'oci-serve does not start' '' $code
}

# step_push reads the bundle once, verifying and sending at the same time; oci-push
# publishes nothing before bundle-verify has reported a good signature.
step_push() {
  inputs
  filling="$bundle $size" trusted=${verify:+$key}
  remember
  feed "$near" $state/pushed
}

# feed PLACE [FILE]: the command that verifies the bundle and pushes it there.
feed() {
  push=$(with oci-push --to "$1" ${verify:+--verified-by -} "$bundle")
  if [ -n "$verify" ]; then
    run "$(quote bundle-verify --quiet --key "$key" ${signature:+--signature "$signature"} "$bundle") | bundle-version --quiet | $push" "${2-}"
  else
    run "{ $(quote bundle-version --quiet "$bundle") && $push; }" "${2-}"
  fi
}

# add pushes one of the vendor's further bundles, verified like the first.
add() {
  [ -n "$plan" ] || root
  [ -n "$external" ] || [ -r $state/site ] || fail 'no registry is known on this host' 'install the platform first: install.sh --bundle FILE --key FILE'
  site
  begin
  perform push step_add
  if [ -n "$plan" ]; then return; fi
  files="its files, if any, are at https://${far%%/*}/files/"
  [ -z "$external" ] || files='oci-push --files DIR writes its files, if any, for an HTTP server'
  say "the bundle is in https://$beside; $files"
}

step_add() {
  present bundle-verify bundle-version oci-push
  inputs
  # Its repositories are next to the platform's prefix, not below it.
  to=${near%/*} beside=${far%/*}
  type=$(bundle-version --quiet --format '{{.type}}' "$bundle") || exit
  case $type in
  bare-metal) ;;
  ceph) to=$to/ceph beside=$beside/ceph ;; # as in the vendor's guide
  *) fail "$bundle is the platform's own bundle" 'install it with --bundle' ;;
  esac
  feed "$to"
}

# push_failed: for a bundle that is not the vendor's, the last message is to stop.
push_failed() {
  grep -qs '"signature":"bad"' $state/pushed.new $state/records.new || return 0
  resume=''
  fail "STOPPED: the bundle is not what the owner of $(basename -- "$key") signed; nothing was published" \
    "compare $(basename -- "${bundle%%:/*}") with the vendor's checksum and $(basename -- "$key") with a copy obtained by another route"
}

# pushed checks that the push is on record: nothing else is installed.
pushed() {
  [ -z "$plan" ] || return 0
  resume=push
  [ -s $state/pushed ] || fail 'nothing has been pushed yet'
  [ "$(grep -c '^{"kind":"image",.*"tag":"[^"]*","digest":"sha256:' $state/pushed)" = "$(grep -c '"tag":"' $state/pushed)" ] ||
    fail "$state/pushed does not have the digest of every image"
  resume=version
  grep -q '"repository":"k0sproject/k0s"' $state/pushed || fail 'the bundle holds no k0s' 'get a bundle that holds one'
  resume=$step
}

# step_k0s installs k0s from the registry, without reading 22 GB again, and by the
# pushed digests: others may have moved the tags since.
step_k0s() {
  pushed
  records="grep '\"repository\":\"k0sproject/k0s\"' $state/pushed"
  [ -n "$external" ] || run "$records | $(with k0s-extract --quiet --from "$near" --name --to "$storage/k0s" -)"
  [ -e $bin/k0s ] || ours $bin/k0s
  run "$records | $(with k0s-extract --from "$near" --to $bin/k0s -)" $state/extracted
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
  # k0s-up would print the verdict and the release, which k0rdent-install reports.
  run "grep -hv '^{\"kind\":\"\(bundle\|version\)\"' $state/pushed $state/extracted $state/mirrored 2>/dev/null | $(with k0s-up --registry "$far" ${address:+--api-address "$address"})$(flags host "$@")" $state/up
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
  last=$(sed -n '/"by":"install.sh"/s/.*"name":"\([^"]*\)","status":"\([^"]*\)".*"time":"\([^"]*\)".*/step \1 \2 at \3/p' "$log" 2>/dev/null | tail -n 1)
  printf '%-9s %s\n' registry "$serves" release "${release:-none was pushed}" 'last run' "${last:-none}"
  for what in 'node nodes' 'k0rdent management kcm'; do
    # shellcheck disable=SC2086 # words
    text=$(if command -v k0s >/dev/null; then k0s kubectl get ${what#* } --no-headers 2>&1; else echo 'k0s is not installed' && false; fi) || well=1
    printf '%s\n' "$text" | sed "s/^/$(printf %-10s "${what%% *}")/"
  done
  return $well
}

# join makes this host a node. Nothing in the archive is used before the whole archive
# is verified in a private copy.
join() {
  [ -n "$plan" ] || root
  if [ ! -f "$archive" ] || [ ! -r "$archive" ]; then fail "$archive is not a file that can be read" "name the file that install.sh --export-$mode wrote"; fi
  begin
  room=$(mktemp -d) || exit
  cat -- "$archive" 2>/dev/null >"$room/archive" || fail "cannot write to ${TMPDIR:-/tmp}: $archive does not fit" 'make room there, or set TMPDIR to a directory with more'
  authentic "$room/archive"
  mkdir "$room/node"
  tar xzf "$room/archive" -C "$room/node" || fail "cannot unpack $archive in ${TMPDIR:-/tmp}" 'make room there, or set TMPDIR to a directory with more'
  grep -qsx "role=$mode" "$room/node/join.sh" || fail "$archive is not for a $mode" 'use it with the flag that install.sh printed when it was packed'
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
  want=$(printf %s "${digest#sha256:}" | tr A-F a-f | grep -xE '[0-9a-f]{64}') || misuse "invalid --digest \"$digest\": must be sha256: and 64 hexadecimal digits" "install.sh --export-$mode prints it"
  has=$(sha256sum <"$1" | cut -c 1-64)
  [ "$has" = "$want" ] || fail "$archive has the digest sha256:$has, not sha256:$want" "copy it again; if that does not help, it was changed on the way: pack another with install.sh --export-$mode"
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
  run "$(quote cp $bin/k0s) $(for tool in $packed; do printf '%s ' "$(quote "$(command -v "$tool")")"; done)$pack/"
  run "cat $state/pushed 2>/dev/null >$pack/records || true"
  [ -z "$authority" ] || run "$(quote cp "$authority" $pack/ca.pem)"
  [ -z "$username" ] || run "$(quote cp "$password" $pack/password)"
  [ "$role" = worker ] || run "cp /etc/k0s/k0s.yaml $pack/"
  run "$(quote printf '%s\n' "$(join_script)") >$pack/join.sh"
  run "tar --owner=0 --group=0 --numeric-owner -czf $state/archive.new -C $pack . && mv $state/archive.new $pack/archive"
  run "$(quote install -m 600 $pack/archive "$archive.new") && $(quote mv -f "$archive.new" "$archive")"
}

# join_script prints the script that makes the other host a node.
join_script() {
  login=${authority:+ --ca ca.pem}${username:+ $(quote --username "$username") --password-file password}
  known=''
  [ "$role" = worker ] || known=' --k0s-yaml k0s.yaml'
  [ ! -e $state/pushed ] || known="$known --registry $far$login"
  cat <<END
#!/bin/sh
# Makes this host a $role of the cluster, with the files next to this one; --plan
# shows how. Other flags are those of k0s-up. Run again, it completes what is missing.
set -eu
role=$role
cd -- "\$(dirname -- "\$0")"
PATH=\$PWD:\$PATH k0s=$bin/k0s plan=''
case \${1-} in --plan)
  plan=--plan k0s=\$PWD/k0s
  export K0S_UP_IGNORE="\${K0S_UP_IGNORE:+\$K0S_UP_IGNORE,}mirror" # which a plan does not write
  shift
  ;;
esac
k0s-extract \$plan --from "\$PWD/k0s" </dev/null
k0s-mirror-config \$plan --mirror https://$far$login --k0s "\$k0s" </dev/null
k0s-up \$plan --join \$role --token-file "\$PWD/token"$known --k0s "\$k0s" "\$@" <records
[ -n "\$plan" ] || rm -f token
END
}

uninstall() {
  present k0s-up k0s-mirror-config
  # The role of this host decides what may be removed. If it is unknown, stop here.
  set -- --reset ${last_controller:+--last-controller}
  # k0rdent is removed first, so no warning about it.
  planned=$(k0s-up "$@" --plan --ignore platform --quiet --format '{{.cluster}} {{.name}} {{.status}}: {{.detail}}' </dev/null) || exit
  case $planned in *'stays preflight '*) stays=yes ;; esac
  [ -n "$stays" ] || present k0rdent-install
  if [ -n "$stays" ] && [ -z "$external" ] && [ -d "$storage/blobs" ]; then kept=yes; fi
  [ -z "$kept" ] || [ -z "$purge" ] || fail 'the hosts of the remaining cluster pull from the registry on this host' \
    'run this without --purge now, and with it once no host pulls from here any more'
  worker=$(ls $units/k0sworker.service /etc/init.d/k0sworker 2>/dev/null || true)
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
}

# ask asks for confirmation of what will be removed.
ask() {
  [ -z "$yes" ] || return 0
  what="remove k0rdent, k0s and the registry${purge:+ with all that it holds} from this host"
  [ -z "$external" ] || what='remove k0rdent, k0s from this host'
  [ -z "$stays" ] || what='remove this host from its cluster, which keeps running, and k0s with its data'
  printf 'install.sh: %s? [y/N] ' "$what" >&2
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
  if [ -n "$kept" ]; then
    say 'this host still serves the registry that the others pull from; install.sh --uninstall once more removes it'
  elif [ -z "$purge" ]; then
    for left in "$storage" "$(dirname -- "$log")" $state $env; do [ ! -e "$left" ] || say "$left stays, until --uninstall --purge"; done
  fi
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
    socket=''
    ! systemctl -q cat oci-serve.socket >/dev/null 2>&1 || socket=' oci-serve.socket'
    run "systemctl disable --quiet --now$socket oci-serve.service || ! systemctl is-active --quiet oci-serve.service"
  fi
  if [ -n "$purge" ] && [ -d "$storage/blobs" ]; then run "$(quote oci-serve --purge --yes --storage "$storage")"; fi
  # Our files, except what --purge removes: the registry's user and location.
  # shellcheck disable=SC2046 # words
  run "$(quote rm -f $(sed -e "/^user/d; \\|^$env\$|d; p; s/\$/.new/" $state/files 2>/dev/null))"
  if systemd; then run 'systemctl daemon-reload'; fi
  tidy $units/oci-serve.service.d /etc/k0s/containerd.d /etc/k0s
  run "rm -f $state/pushed* $state/extracted* $state/mirrored* $state/up* $state/restart $run/oci-serve.*"
  [ -n "$purge" ] || return 0
  if grep -qxF user/oci-serve $state/files 2>/dev/null; then
    run 'userdel oci-serve && { ! getent group oci-serve >/dev/null || groupdel oci-serve; } || echo "install.sh: the user oci-serve stays" >&2'
  fi
  if grep -qxF $env $state/files 2>/dev/null; then
    run "rm -f $env"
    tidy "$(dirname $env)"
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

case " $* " in *' --download '*)
  [ -f "$here/download.sh" ] || misuse '--download is now a script of its own' 'run download.sh VERSION, which is next to install.sh in the release archive'
  exec sh "$here/download.sh" "$@"
  ;;
esac
while [ $# -gt 0 ]; do
  word=$1
  shift
  case $word in
  --[a-z]*=*) set -- "${word%%=*}" "${word#*=}" "$@" ;;
  --) break ;;
  --help | -h) usage && exit ;;
  --version) present oci-push && oci-push --version | sed 's/^oci-push/install.sh/' && exit ;;
  -*)
    name=$(printf %s "${word#--}" | tr - _)
    case $(listed "$word") in
    '') misuse "unknown flag $word$(meant "$word")" 'install.sh --help lists the flags; those of k0s-up and k0rdent-install come after --' ;;
    *\ [A-Z]*)
      [ -n "${1-}" ] || misuse "$word requires a value"
      eval "$name=\$1" && shift
      ;;
    *) eval "$name=yes" ;;
    esac
    ;;
  *[./]*) misuse "unexpected argument \"$word\" (did you mean --bundle $word?)" ;;
  *) misuse "unexpected argument \"$word\"$(meant "--$word")" ;;
  esac
done
check_flags "$@"
settle
case $mode in
install) install "$@" ;;
status) status ;;
worker | controller) archive=$(absolute "$archive") && join ;;
export-*) archive=$(absolute "$archive") && export_node ;;
add-bundle) add ;;
uninstall) uninstall ;;
esac
