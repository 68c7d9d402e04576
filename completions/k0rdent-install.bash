# bash completion for k0rdent-install(1)

_k0rdent_install() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=
  [ "$COMP_CWORD" -eq 0 ] || prev=${COMP_WORDS[COMP_CWORD - 1]}
  case $prev in
  --timeout) mapfile -t COMPREPLY < <(compgen -W '30m 45m 2h' -- "$cur") ;;
  --answer-timeout) mapfile -t COMPREPLY < <(compgen -W '30s 2m' -- "$cur") ;;
  --helm-timeout) mapfile -t COMPREPLY < <(compgen -W '20m 40m' -- "$cur") ;;
  --ignore) mapfile -t COMPREPLY < <(compgen -W 'cpu disk images loopback memory' -- "$cur") ;;
  --format) mapfile -t COMPREPLY < <(compgen -W 'auto json table' -- "$cur") ;;
  --ca | --password-file | --release-file | --values | --credentials | --kubeconfig | --config)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    ;;
  --registry | --username | --chart | --release | --set | --k0s-url) ;;
  *) mapfile -t COMPREPLY < <(compgen -W '--plan --rehearse --upgrade --uninstall --print-values --config-init --config-check
    --kubeconfig --registry --ca --username --password-file --plain-http --answer-timeout --online --chart
    --release --release-file --values --set --credentials --k0s-url --atomic
    --timeout --helm-timeout --ignore --yes --format --config --quiet --verbose
    --help --version' -- "$cur") ;;
  esac
}
complete -F _k0rdent_install k0rdent-install
