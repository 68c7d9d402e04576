# shellcheck shell=sh
# What install.sh knows about this site: the settings of this run and the last one, the
# registry's address, and the state of it all.

absolute() { case $1 in /*) printf %s "$1" ;; *) printf %s "$PWD/$1" ;; esac; }
# settle fills in what was not given: from variables, the last run, or the defaults.
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
  listen=${listen:-0.0.0.0} port=${port:-5000} storage=$(absolute "${storage:-$own}")
  log=${log:-/var/log/k0rdent-airgap/install.ndjson} logs=$(dirname -- "$log")
  if [ -n "$plan" ]; then bundle=${bundle:-${filling% *}} key=${key:-$trusted}; fi
  { printf %s "$port" | grep -qxE '[1-9][0-9]{0,4}' && [ "$port" -le 65535 ]; } || misuse "invalid K0RDENTD_REGISTRY_PORT=\"${K0RDENTD_REGISTRY_PORT-}\": must be a number from 1 to 65535"
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

# site determines the registry's address for this host (near), and for others (far).
site() {
  if [ -n "$external" ]; then
    printf %s "$external" | grep -qxE '[][A-Za-z0-9-]([][A-Za-z0-9.:-]*[][A-Za-z0-9.-])?(/[a-z0-9._-]+)*' || # oci-push checks it again
      misuse "invalid --external-registry \"$external\": must be HOST[:PORT][/PREFIX]"
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
