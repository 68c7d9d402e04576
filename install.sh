#!/bin/sh
# Sets up a host from the vendor's bundle to a running platform. A step prints its
# commands: --plan shows them, and a run passes them to a shell. Each step can be run
# again, and completes what is missing. k0rdent-airgap(7) is the guide.
#
# It needs its parts (lib/install), the tools next to it or on the PATH, a POSIX shell,
# coreutils, awk, cmp, find, flock, grep, sed, setsid and tar: every Linux system has
# them. A further host needs only this file and an archive, which has the rest.
set -eu
umask 022 # whatever root has: what other users can write is not trusted

usage() {
  cat <<'END'
usage: install.sh --bundle FILE --key FILE [flags] [-- TOOL FLAGS]
       install.sh --worker|--controller ARCHIVE --digest DIGEST
       install.sh --status | --uninstall [--purge]

  install.sh --bundle airgap-bundle-1.2.3.tar.gz --key cosign.pub --plan

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
  --add-bundle FILE     push the vendor's bundle for bare metal or Ceph as well

Registry:
  --host-address IP     the host's address for nodes and pods, if it has several
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
  --export-controller FILE  the same for another controller
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
  --log FILE            the log (default /var/log/k0rdent-airgap/install.ndjson)
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
parts=/usr/local/lib/k0rdent-airgap # of this script, once it is installed
state=/var/lib/k0rdentd/install     # kept between runs, for root only
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
archived='unpack the whole release archive, and run the install.sh in it'

self=$(readlink -f -- "$0")
here=${self%/*}
# What is next to this file is trusted like it, except where others can add to it: /tmp.
case $(ls -ld "$here/") in d???????w[tT]*) here=$bin ;; esac
PATH=$here/bin:$PATH:$bin

# Flags. Each sets the variable of its name.
bundle='' key='' signature='' no_verify='' add_bundle='' host_address='' external_registry='' ca='' username='' password_file=''
from='' only='' plan='' digest='' purge='' yes='' last_controller='' log=''
# shellcheck disable=SC2034 # read by eval
export_worker='' export_controller='' worker='' controller='' uninstall='' status=''
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

# meant FLAG: " (did you mean …?)", with the flags that begin like it.
meant() {
  usage | awk -v begin="$(printf %.4s "$1")" '/^  --/ && substr($1, 1, 4) == begin {near = near (near ? " or " : "") $1}
    END {if (near) printf " (did you mean %s?)", near}'
}

# present TOOL…: checks that they are installed and run here.
present() {
  for tool; do
    command -v "$tool" >/dev/null || fail "$tool is missing" "$archived"
  done
  "$1" --version >/dev/null 2>&1 || fail "the tools do not run on this $(uname -m)" 'use the release archive that is for it'
}

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

# unpack makes the archive of a further host ready, with the other parts of this script.
# Nothing in it is used before all of it is verified in a private copy.
unpack() {
  if [ ! -f "$archive" ] || [ ! -r "$archive" ]; then fail "$archive is not a file that can be read" "name the file that install.sh --export-$mode wrote"; fi
  trap 'rm -rf -- "$room"' EXIT
  trap 'exit 130' INT TERM HUP
  room=$(mktemp -d) || exit
  cat -- "$archive" 2>/dev/null >"$room/archive" || fail "cannot write to ${TMPDIR:-/tmp}: $archive does not fit" 'make room there, or set TMPDIR to a directory with more'
  # The digest was printed when it was packed, and came here by a different route.
  if [ -z "$digest" ]; then
    [ -t 0 ] || misuse "the digest of $archive is needed: it holds programs that run as root" "run the command that install.sh --export-$mode printed: install.sh --$mode ARCHIVE --digest sha256:..."
    printf 'install.sh: the digest that --export-%s printed for %s: ' "$mode" "$archive" >&2
    read -r digest || digest=none
  fi
  want=$(printf %s "${digest#sha256:}" | tr A-F a-f | grep -xE '[0-9a-f]{64}') || misuse "invalid --digest \"$digest\": must be sha256: and 64 hexadecimal digits" "install.sh --export-$mode prints it"
  has=$(sha256sum <"$room/archive" | cut -c 1-64)
  [ "$has" = "$want" ] || fail "$archive has the digest sha256:$has, not sha256:$want" "copy it again; if that does not help, it was changed on the way: pack another with install.sh --export-$mode"
  mkdir "$room/node"
  tar xzf "$room/archive" -C "$room/node" || fail "cannot unpack $archive in ${TMPDIR:-/tmp}" 'make room there, or set TMPDIR to a directory with more'
  grep -qsx "role=$mode" "$room/node/join.sh" || fail "$archive is not for a $mode" 'use it with the flag that install.sh printed when it was packed'
  self=$room/node/install.sh lib=$room/node/install
}

install() {
  site
  begin
  [ -z "$external" ] || say "the registry is $external"
  if [ -n "$plan" ]; then
    run "umask 022; export $(quote PATH="$here/bin"):\$PATH"
    run "mkdir -p ${state%/*} $(quote "$(dirname -- "$logs")") && mkdir -p -m 700 $state $(quote "$logs")"
  fi
  number=0 total=8 first=$from$only
  for name in $steps; do
    number=$((number + 1))
    [ "$name" != "$first" ] || first=''
    [ -n "$first" ] || perform "$name" next "$@"
    first=${only:-$first}
  done
  if [ -n "$plan$only" ]; then return; fi
  case " $* " in
  *' --plan '*) say 'the registry is filled; the cluster was only planned: run the same command without -- --plan to install it' ;;
  *)
    printf '%-13s %s\n' "${authority:+registry CA}" "$authority${authority:+, for other clients of https://$far}" \
      'another node' 'install.sh --export-worker FILE packs what it needs' 'this site' 'install.sh --status' | grep . >&2
    style=32
    say "done in $(($(date +%s) - started)) s; every record is in $log"
    ;;
  esac
}

# next FLAG…: the step's lines, after the settings that have changed.
next() {
  remember
  "step_$name" "$@"
}

# step_check also compares the free space with the bundle: the registry stores each blob
# once. When its push has begun there, oci-push reports a full disk.
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

step_tools() {
  if [ -x "$here/bin/oci-serve" ]; then
    for tool in $tools; do put "$here/bin/$tool" "$bin/$tool" 755; done
    keep
  fi
  if ! systemd || [ -n "$external" ]; then return 0; fi
  # A package has its own unit.
  case $(systemctl show --value -p FragmentPath oci-serve.service) in '' | "$units/oci-serve.service") ;; *) return 0 ;; esac
  source=${lib%/*}/systemd
  [ -f "$source/oci-serve.service" ] || fail 'oci-serve.service is missing' "$archived"
  put "$source/oci-serve.service" "$units/oci-serve.service" 644
  put "$source/oci-serve.sysusers" /etc/sysusers.d/oci-serve.conf 644
  [ -e $env ] || put "$source/oci-serve.env" $env 644 # it is the operator's from then on
  id oci-serve >/dev/null 2>&1 || ours user/oci-serve
  run 'systemd-sysusers /etc/sysusers.d/oci-serve.conf'
}

step_version() {
  [ -n "$size" ] || find_bundle
  set -- bundle-version --quiet --format 'release {{.version}}, not verified yet' "$bundle"
  [ -z "$plan" ] || { text=$("$@") && echo "# $text"; } || exit
  run "$(quote "$@") >&2"
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
step_mirror() { run "$(with k0s-mirror-config --mirror "https://$far") </dev/null" $state/mirrored; }

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
    case $(usage | awk -v flag="$word" '$1 == flag {print $1, $2}') in
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
[ -n "$plan" ] || [ "$mode" = status ] || [ "$(id -u)" = 0 ] || fail 'this requires root' 'run it with sudo'

# The other parts are next to this file, or below lib where both are installed. Installed
# ones of another version are not used.
for lib in "$here/install" "$here/lib/install" "${here%/bin}/lib/k0rdent-airgap" $parts; do [ ! -f "$lib/run.sh" ] || break; done
case $mode in worker | controller) unpack ;; esac
[ "$lib" != $parts ] || cmp -s "$self" $bin/k0rdent-airgap-install || fail 'the other parts of install.sh are missing' "$archived"
for part in run site serve hosts uninstall; do
  [ -r "$lib/$part.sh" ] || fail "$lib/$part.sh is missing" "$archived"
  # shellcheck disable=SC1090 # tests/lint.sh reads them as one
  . "$lib/$part.sh"
done
settle
case $mode in
add-bundle) add ;;
export-*) export_node ;;
worker | controller) join ;;
*) "$mode" "$@" ;; # install, status or uninstall
esac
