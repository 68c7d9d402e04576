#!/bin/sh
# Takes a host from the vendor's bundle to a running platform: each step is one
# of the tools, and the same that an operator could type. Every step can be run
# again, and does what is left to do. k0rdent-airgap(7) is the guide.
#
# It needs the tools beside it (or on the PATH), a POSIX shell and coreutils.
set -eu

usage() {
  cat <<'END'
usage: install.sh --bundle FILE --key FILE [flags] [-- FLAGS OF k0rdent-install]
       install.sh --worker ARCHIVE [--plan]
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
                        push to this registry instead of serving one
  --ca FILE             authorities of the external registry's certificate
  --username NAME       log in to the external registry
  --password-file FILE  with the password in FILE
  --from STEP           begin at a step
  --only STEP           do this step alone
  --plan                show what would be done, and change nothing
  --log FILE            records of all that was done
                        (default /var/log/k0rdent-airgap/install.ndjson)

  --worker ARCHIVE      make this host a node, with what --export-worker packed
  --export-worker FILE  pack all that a worker needs to join, its token included
  --download VERSION    on a host with the internet: get bundle, signature, key
                        and k0s, go on with what broke off, and check them
  --uninstall           take k0rdent, k0s and the registry away again
  --purge               and with them the registry's content and the log
  --yes                 do not ask before --uninstall
  --help                print this text
  --version             print the version

Variables: K0RDENTD_AIRGAP_BUNDLE_PATH for --bundle, K0RDENT_COSIGN_KEY for
--key, K0RDENTD_VERIFY_SIGNATURE=false for --no-verify, and for the registry
K0RDENTD_REGISTRY_HOST (0.0.0.0), K0RDENTD_REGISTRY_PORT (5000) and
K0RDENTD_REGISTRY_STORAGE (/var/lib/k0rdentd/registry).
Exit codes: 0 done, 1 failed, 2 misuse, 75 try again, 130 interrupted.
END
}

bin=/usr/local/bin
state=/var/lib/k0rdentd/install
run=/run/k0rdent-airgap
etc=/etc/k0rdent-airgap
log=/var/log/k0rdent-airgap/install.ndjson
units=/etc/systemd/system
vendor=${K0RDENT_DOWNLOAD_URL:-https://get.mirantis.com/k0rdent-enterprise}
prefix=k0rdent-enterprise
tools='bundle-verify bundle-version bundle-ls oci-serve oci-push k0s-extract k0s-mirror-config k0rdent-install'
steps='check tools version serve push k0s mirror install'

here=$(cd -- "$(dirname -- "$0")" && pwd)
PATH=$here/bin:$PATH:$bin

bundle=${K0RDENTD_AIRGAP_BUNDLE_PATH-} key=${K0RDENT_COSIGN_KEY-} signature='' verify=yes
listen=${K0RDENTD_REGISTRY_HOST:-0.0.0.0} port=${K0RDENTD_REGISTRY_PORT:-5000}
storage=${K0RDENTD_REGISTRY_STORAGE:-/var/lib/k0rdentd/registry}
address='' external='' ca='' username='' password='' first='' only='' plan='' mode=install archive='' release='' purge='' yes=''
[ "${K0RDENTD_VERIFY_SIGNATURE:-true}" != false ] || verify=''

say() { [ -z "${*-}" ] || printf 'install.sh: %s\n' "$*" >&2; }

# fail TEXT [HINT [CODE]]
fail() {
  say "$1"
  [ -z "${2-}" ] || printf 'hint: %s\n' "$2" >&2
  exit "${3-1}"
}

# json TEXT: as a JSON string.
json() { printf '"%s"' "$(printf %s "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/["\\]/\\&/g')"; }

# tell NAME STATUS SECONDS DETAIL: a record of a step, into the log.
tell() {
  detail=''
  [ -z "${4-}" ] || detail=",\"detail\":$(json "$4")"
  printf '{"kind":"step","by":"install.sh","name":"%s","status":"%s","seconds":%s%s}\n' "$1" "$2" "$3" "$detail" >>"$log"
}

# keep COMMAND…: its records go into the log, and to the file "records" of the
# step before they do.
keep() {
  status=0
  "$@" >"$work/records" || status=$?
  cat "$work/records" >>"$log"
  return $status
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
    --bundle | --key | --signature | --host-address | --external-registry | --ca | --username | --password-file | --from | --only | --log | \
      --worker | --export-worker | --download)
      [ $# -gt 1 ] || fail "$1 needs a value" 'install.sh --help lists the flags' 2
      value "$1" "$2"
      shift
      ;;
    --no-verify) verify='' ;;
    --plan) plan=yes ;;
    --uninstall) mode=uninstall ;;
    --purge) purge=yes ;;
    --yes) yes=yes ;;
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
    *) fail "no such flag: $1" 'install.sh --help lists the flags; those of k0rdent-install stand behind --' 2 ;;
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
  --external-registry) external=$2 ;;
  --ca) ca=$2 ;;
  --username) username=$2 ;;
  --password-file) password=$2 ;;
  --log) log=$2 ;;
  --worker) mode=worker archive=$2 ;;
  --export-worker) mode=export archive=$2 ;;
  --download) mode=download release=$2 ;;
  --from | --only)
    case " $steps " in *" $2 "*) ;; *) fail "$1 $2: no such step" "the steps are: $steps" 2 ;; esac
    if [ "$1" = --from ]; then first=$2; else only=$2; fi
    ;;
  esac
}

systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }

root() { [ "$(id -u)" = 0 ] || fail 'this needs root' 'run it with sudo'; }

# addresses lists this host's own, from the kernel's table: ip(8) may be missing.
addresses() {
  awk '/32 host LOCAL/ {print last} {last = $2}' /proc/net/fib_trie | sort -u | grep -v '^127\.' || true
}

# site fills in where the registry is: for this host (near), and for nodes and
# pods (far).
site() {
  if [ -n "$external" ]; then
    near=$external far=$external
    return
  fi
  if [ -z "$address" ]; then
    address=$(addresses)
    case $address in
    '') fail 'this host has no address' 'name the one that nodes and pods can reach with --host-address' 2 ;;
    *[!0-9.]*) fail "this host has several addresses: $(printf %s "$address" | tr '\n' ' ')" 'name the one that nodes and pods can reach with --host-address' 2 ;;
    esac
  fi
  ca=$storage/tls/ca.pem
  host=$address
  case $address in *:*) host="[$address]" ;; esac
  near=localhost:$port/$prefix far=$host:$port/$prefix
}

# with TOOL ARGUMENT…: the tool with what it takes to speak to the registry.
with() {
  tool=$1
  shift
  [ -z "$username" ] || set -- --username "$username" --password-file "$password" "$@"
  [ -z "$ca" ] || set -- --ca "$ca" "$@"
  "$tool" "$@"
}

# pushed: the records of the step push are there.
pushed() { [ -s "$state/pushed" ] || fail 'it is not known yet what the registry holds' 'do the step push first: --from push'; }

step_check() {
  for tool in $tools; do
    command -v "$tool" >/dev/null || fail "$tool is not there" 'unpack the whole release archive, and run the install.sh in it'
  done
  [ -n "$bundle" ] || fail 'which bundle?' 'name it with --bundle' 2
  [ -r "$bundle" ] || fail "$bundle cannot be read"
  if [ -z "$verify" ]; then
    say 'WARNING: the bundle is taken UNVERIFIED; whoever could change it on its way here owns this site'
  else
    [ -n "$key" ] || fail 'which key?' 'name the public key of the vendor with --key, or take the bundle unverified with --no-verify' 2
    [ -r "$key" ] || fail "$key cannot be read"
    signature=${signature:-$bundle.sig}
    [ -r "$signature" ] || fail "$signature cannot be read" "carry it in beside the bundle: install.sh --download gets both"
  fi
  [ -n "$external" ] || space
}

# space compares the disk with what will lie there: the registry holds each
# blob once, so never more than the bundle, which does not shrink any more.
space() {
  dir=$storage
  while [ ! -d "$dir" ]; do dir=$(dirname -- "$dir"); done
  need=$(($(du -skL -- "$bundle" | cut -f1) * 105 / 100))
  has=0
  [ ! -d "$storage/blobs" ] || has=$(du -sk -- "$storage/blobs" | cut -f1)
  free=$(df -Pk -- "$dir" | awk 'NR == 2 {print $4}')
  [ $((free + has)) -ge "$need" ] || fail "$storage needs $((need / 1024)) MiB for the bundle's content, $((free / 1024)) MiB are free" \
    'make room, or name another place with K0RDENTD_REGISTRY_STORAGE'
}

# put FILE PLACE MODE: as a whole, and only if it differs. The list of what was
# put is for --uninstall.
put() {
  cmp -s -- "$1" "$2" && return
  mkdir -p -- "$(dirname -- "$2")"
  cp -- "$1" "$2.new.$$"
  chmod "$3" "$2.new.$$"
  mv -f -- "$2.new.$$" "$2"
  mkdir -p "$state"
  grep -qxF -- "$2" "$state/files" 2>/dev/null || printf '%s\n' "$2" >>"$state/files"
}

step_tools() {
  if [ -x "$here/bin/oci-serve" ]; then
    for tool in $tools; do put "$here/bin/$tool" "$bin/$tool" 755; done
    put "$here/install.sh" "$bin/k0rdent-airgap-install" 755
  fi
  if ! systemd || [ -n "$external" ]; then return 0; fi
  if ! systemctl cat oci-serve.service >/dev/null 2>&1; then
    for unit in oci-serve.service oci-serve.sysusers; do
      for source in "$here/systemd/$unit" "$here/lib/systemd/$unit" /dev/null; do [ ! -f "$source" ] || break; done
      [ -f "$source" ] || fail "$unit is not there" 'unpack the whole release archive, and run the install.sh in it'
      cp -- "$source" "$work/$unit"
    done
    put "$work/oci-serve.sysusers" /etc/sysusers.d/oci-serve.conf 644
    put "$work/oci-serve.service" "$units/oci-serve.service" 644
  fi
  systemd-sysusers
}

step_version() {
  keep bundle-version --quiet "$bundle"
  say "release $(bundle-version --quiet --format '{{.version}}' "$bundle")"
}

# step_serve starts the registry, or leaves the one that runs as it is.
step_serve() {
  if [ -n "$external" ]; then
    return 0
  elif systemd; then
    serve_unit
  else
    serve_alone
  fi
}

# serve_unit: settings of the operator in the environment file come after these.
serve_unit() {
  {
    printf '[Service]\n'
    printf 'Environment="%s"\n' OCI_SERVE_TLS=auto "OCI_SERVE_TLS_NAME=$address" "OCI_SERVE_HOST=$listen" "OCI_SERVE_PORT=$port" "OCI_SERVE_STORAGE=$storage"
    [ "$storage" = /var/lib/k0rdentd/registry ] || printf 'ReadWritePaths=%s\n' "$storage"
  } >"$work/site.conf"
  before=$(cksum <"$units/oci-serve.service.d/site.conf" 2>/dev/null || true)
  put "$work/site.conf" "$units/oci-serve.service.d/site.conf" 644
  if [ "$storage" != /var/lib/k0rdentd/registry ]; then
    mkdir -p "$storage"
    chown oci-serve "$storage"
  fi
  systemctl daemon-reload
  systemctl enable --quiet oci-serve.service
  if [ "$before" = "$(cksum <"$units/oci-serve.service.d/site.conf")" ]; then
    systemctl start oci-serve.service # ready when it returns
  else
    systemctl restart oci-serve.service
  fi
}

# serve_alone: without systemd, oci-serve runs in the background, as the user who
# began, until the host is shut down. It has a record once it accepts connections.
serve_alone() {
  mkdir -p "$run"
  if [ -s "$run/oci-serve.pid" ] && kill -0 "$(cat "$run/oci-serve.pid")" 2>/dev/null; then return 0; fi
  mkdir -p "$storage" "$(dirname -- "$log")"
  : >"$run/oci-serve.record"
  nohup oci-serve --host "$listen" --port "$port" --storage "$storage" --tls auto --tls-name "$address" \
    >"$run/oci-serve.record" 2>>"$(dirname -- "$log")/oci-serve.log" </dev/null &
  pid=$!
  tries=0
  until [ -s "$run/oci-serve.record" ]; do
    tries=$((tries + 1))
    if ! kill -0 $pid 2>/dev/null || [ $tries -gt 300 ]; then
      status=0
      wait $pid || status=$?
      tail -n 3 "$(dirname -- "$log")/oci-serve.log" >&2
      fail 'oci-serve did not start' '' "$status"
    fi
    sleep 0.1
  done
  cat "$run/oci-serve.record" >>"$log"
  printf '%s\n' "$pid" >"$run/oci-serve.pid"
}

# step_push reads the bundle once, verifying and sending at the same time;
# oci-push publishes nothing before bundle-verify has said that it is good.
step_push() {
  if [ -z "$verify" ]; then
    keep with oci-push --to "$near" "$bundle"
    put "$work/records" "$state/pushed" 644
    return
  fi
  mkfifo "$work/verdict"
  bundle-verify --quiet --key "$key" --signature "${signature:-$bundle.sig}" "$bundle" >"$work/verdict" &
  verifier=$!
  status=0
  keep with oci-push --verified-by "$work/verdict" --to "$near" "$bundle" || status=$?
  kill $verifier 2>/dev/null || true # it has ended, unless oci-push gave up before it
  wait $verifier || true
  rm -f "$work/verdict"
  [ $status = 0 ] || return $status
  put "$work/records" "$state/pushed" 644
}

# step_k0s takes k0s from the registry: those are the bytes of the bundle that
# were verified, without reading 22 GB once more.
step_k0s() {
  pushed
  # The tags of k0s's image, the newest version first.
  tags=$(sed -n 's/^{"kind":"image",.*"repository":"k0sproject\/k0s","tag":"\([^"]*\)".*/\1/p' "$state/pushed" | sort -rV)
  [ -n "$tags" ] || fail 'the bundle holds no k0s'
  for tag in $tags; do
    [ -n "$external" ] || keep with k0s-extract --quiet --from "$near/k0sproject/k0s:$tag" --name --to "$storage/k0s"
  done
  keep with k0s-extract --from "$near/k0sproject/k0s:$(printf '%s\n' "$tags" | head -n 1)" --to "$bin/k0s"
}

step_mirror() {
  pushed
  keep with k0s-mirror-config --mirror "https://$far" --k0s "$bin/k0s" <"$state/pushed"
}

step_install() {
  pushed
  [ -n "$external" ] || set -- --api-address "$address" "$@"
  keep with k0rdent-install --registry "$far" "$@" <"$state/pushed"
}

# plan_STEP says what a step would do.
plan_check() { step_check; }
plan_version() { bundle-version --quiet --format 'release {{.version}}' "$bundle"; }
plan_tools() { echo "put the tools into $bin, and the unit oci-serve.service in place"; }
plan_serve() {
  if [ -n "$external" ]; then
    echo "nothing: $external serves"
  else
    echo "oci-serve --host $listen --port $port --storage $storage --tls auto --tls-name $address"
  fi
}
plan_push() {
  if [ -n "$verify" ]; then
    echo "oci-push --verified-by <(bundle-verify --key $key $bundle) --to $near $bundle"
  else
    echo "oci-push --to $near $bundle"
  fi
}
plan_k0s() { echo "k0s-extract --from $near/k0sproject/k0s:TAG --to $bin/k0s"; }
plan_mirror() { echo "k0s-mirror-config --mirror https://$far --ca $ca"; }
plan_install() { echo "k0rdent-install --registry $far --ca $ca $*"; }

# walk does the steps that were asked for.
walk() {
  going=yes
  [ -z "$first" ] || going=''
  for step in $steps; do
    [ "$step" != "$first" ] || going=yes
    [ -z "$only" ] || { going='' && [ "$step" != "$only" ] || going=yes; }
    [ -n "$going" ] || continue
    if [ -n "$plan" ]; then
      printf '%-8s %s\n' "$step" "$("plan_$step" "$@")"
      continue
    fi
    say "step $step"
    begun=$(date +%s)
    set +e # in a list, set -e would not count inside
    (
      set -e
      "step_$step" "$@"
    )
    code=$?
    set -e
    seconds=$(($(date +%s) - begun))
    if [ $code != 0 ]; then
      tell "$step" failed $seconds
      [ $code = 2 ] || printf 'hint: when that is mended, go on with the same command and --from %s\n' "$step" >&2
      exit $code
    fi
    tell "$step" "done" $seconds
  done
}

# report tells from the log how long each step took at last, and what was done.
report() {
  awk '
    /"by":"install.sh"/ {
      name = $0; sub(/.*"name":"/, "", name); sub(/".*/, "", name)
      took = $0; sub(/.*"seconds":/, "", took); sub(/[,}].*/, "", took)
      if (!(name in seconds)) order[++n] = name
      seconds[name] = took
    }
    END { for (i = 1; i <= n; i++) printf "  %-8s %5d s\n", order[i], seconds[order[i]] }' "$log" >&2
  say "all is done; every record of it is in $log"
}

# begin makes a place for scratch files and the log, which is nobody else's.
begin() {
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM
  [ -z "$plan" ] || return 0
  umask 077
  mkdir -p "$(dirname -- "$log")"
  : >>"$log"
  umask 022
}

install() {
  [ -n "$plan" ] || root
  site
  begin
  walk "$@"
  if [ -z "$plan" ] && [ -z "$only" ]; then report; fi
}

worker() {
  root
  begin
  if [ -d "$archive" ]; then
    cp -R -- "$archive" "$work/worker"
  else
    mkdir "$work/worker"
    tar xzf "$archive" -C "$work/worker" || fail "$archive cannot be unpacked"
  fi
  join=$(find "$work/worker" -name join.sh | head -n 1)
  [ -n "$join" ] || fail "$archive holds no join.sh" 'make it with install.sh --export-worker'
  if [ -n "$plan" ]; then sh "$join" --plan; else sh "$join"; fi
}

export_worker() {
  root
  site
  begin
  keep k0rdent-install --quiet --token worker --token-file "$work/token" --k0s "$bin/k0s"
  keep with k0s-extract --from "$bin/k0s" --export "$archive" --role worker --mirror "https://$far" --token-file "$work/token"
  say "carry $archive to the worker, and run there: install.sh --worker $(basename -- "$archive")"
}

# fetch URL FILE: gets a file, or the rest of it.
fetch() {
  if command -v curl >/dev/null; then
    curl -fL --retry 5 -C - -o "$2" "$1"
  elif command -v wget >/dev/null; then
    wget -c -O "$2" "$1"
  else
    fail 'neither curl nor wget is there'
  fi || fail "$1 cannot be fetched" 'run the same again: it goes on where it broke off' 75
}

download() {
  bundle=${bundle:-airgap-bundle-$release.tar.gz}
  dir=$(dirname -- "$bundle")
  if [ -n "$plan" ]; then
    printf '%s\n' "$vendor/cosign.pub" "$vendor/$release/airgap-bundle-$release.tar.gz" "$vendor/$release/airgap-bundle-$release.tar.gz.sig"
    return
  fi
  key=${key:-$dir/cosign.pub}
  [ -s "$key" ] || fetch "$vendor/cosign.pub" "$key"
  [ -s "$bundle.sig" ] || fetch "$vendor/$release/airgap-bundle-$release.tar.gz.sig" "$bundle.sig"
  if ! [ -s "$bundle" ] || ! bundle-verify --quiet --key "$key" "$bundle" >/dev/null 2>&1; then
    fetch "$vendor/$release/airgap-bundle-$release.tar.gz" "$bundle"
    bundle-verify --key "$key" "$bundle" >/dev/null
  fi
  for v in $(bundle-version --all --quiet --format '{{range .k0s}}{{.}} {{end}}' "$bundle"); do
    for name in "k0s-$v-amd64.sig" "k0s-$v-amd64"; do
      [ -s "$dir/$name" ] || fetch "$vendor/$release/$name" "$dir/$name"
    done
    bundle-verify --quiet --key "$key" "$dir/k0s-$v-amd64" >/dev/null
  done
  say "carry these into the site: $bundle, $bundle.sig, $key"
}

uninstall() {
  root
  if [ -n "$plan" ]; then
    with k0rdent-install --uninstall --plan
    return
  fi
  if [ -z "$yes" ]; then
    printf 'install.sh: take k0rdent, k0s and the registry off this host? [y/N] ' >&2
    read -r answer || answer=n
    case $answer in y | Y | yes) ;; *) fail 'nothing was taken away' ;; esac
  fi
  begin
  failed=0
  keep k0rdent-install --uninstall --yes || failed=$?
  keep k0s-mirror-config --remove --k0s "$bin/k0s" || failed=$?
  stop
  remove
  [ $failed = 0 ] || fail 'not all could be taken away; see above' 'run the same again' $failed
  say 'k0rdent, k0s and the registry are gone; a restart of the host clears what k0s has left in the network'
  [ -z "$purge" ] || rm -rf -- "$storage" "$log" "$(dirname -- "$log")/oci-serve.log"
  [ -n "$purge" ] || say "still there: the registry's content in $storage, and the log $log; --purge removes them, too"
}

# stop ends the registry.
stop() {
  if systemd; then
    systemctl disable --quiet --now oci-serve.service 2>/dev/null || true
  fi
  if [ -s "$run/oci-serve.pid" ]; then kill "$(cat "$run/oci-serve.pid")" 2>/dev/null || true; fi
  rm -rf -- "$run"
}

# remove takes away the files that put has put.
remove() {
  if [ -f "$state/files" ]; then
    while IFS= read -r file; do rm -f -- "$file"; done <"$state/files"
    rmdir "$units/oci-serve.service.d" 2>/dev/null || true
  fi
  rm -rf -- "$state"
  rm -f -- "$bin/k0s"
  rmdir "$etc" 2>/dev/null || true
  if systemd; then systemctl daemon-reload; fi
}

parse "$@"
shift $(($# - rest))
case $mode in
install) install "$@" ;;
worker) worker ;;
export) export_worker ;;
download) download ;;
uninstall) uninstall ;;
esac
