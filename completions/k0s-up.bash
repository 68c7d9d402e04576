# bash completion for k0s-up(1)

_k0s_up() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=
  [ "$COMP_CWORD" -eq 0 ] || prev=${COMP_WORDS[COMP_CWORD - 1]}
  case $prev in
  --join | --token) mapfile -t COMPREPLY < <(compgen -W 'worker controller' -- "$cur") ;;
  --k0s-images) mapfile -t COMPREPLY < <(compgen -W 'mirror registry' -- "$cur") ;;
  --network-provider) mapfile -t COMPREPLY < <(compgen -W 'kuberouter calico custom' -- "$cur") ;;
  --storage-type) mapfile -t COMPREPLY < <(compgen -W 'etcd kine' -- "$cur") ;;
  --expiry) mapfile -t COMPREPLY < <(compgen -W '1h 24h 168h' -- "$cur") ;;
  --timeout) mapfile -t COMPREPLY < <(compgen -W '30m 45m 2h' -- "$cur") ;;
  --answer-timeout) mapfile -t COMPREPLY < <(compgen -W '30s 2m' -- "$cur") ;;
  --ignore) mapfile -t COMPREPLY < <(compgen -W 'apparmor dns fapolicyd files fips firewalld hosts images inotify ipv6 latency loopback memory mirror modules mounts name network platform ports proxy selinux swap sysinfo system time' -- "$cur") ;;
  --format) mapfile -t COMPREPLY < <(compgen -W 'auto json table' -- "$cur") ;;
  --ca | --password-file | --k0s | --k0s-from | --k0s-yaml | --token-file | --config)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    ;;
  --registry | --san | --username | --k0s-version | \
  --api-address | --api-external-address | --api-port | --pod-cidr | --service-cidr | --etcd-peer-address) ;;
  *) mapfile -t COMPREPLY < <(compgen -W '--plan --join --token --upgrade --reset --config-init --config-check
    --registry --ca --username --password-file --plain-http --answer-timeout --online --k0s --k0s-version
    --k0s-from --k0s-yaml --k0s-images --api-address --api-external-address --api-port --san
    --network-provider --pod-cidr --service-cidr --storage-type --etcd-peer-address --token-file
    --expiry --timeout --ignore --yes --last-controller --format --config --quiet --verbose
    --help --version' -- "$cur") ;;
  esac
}
complete -F _k0s_up k0s-up
