# bash completion for k0s-mirror-config(1)

_k0s_mirror_config() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=
  [ "$COMP_CWORD" -eq 0 ] || prev=${COMP_WORDS[COMP_CWORD - 1]}
  case $prev in
  --answer-timeout) mapfile -t COMPREPLY < <(compgen -W '30s 2m' -- "$cur") ;;
  --format) mapfile -t COMPREPLY < <(compgen -W 'auto json table' -- "$cur") ;;
  --mirror) mapfile -t COMPREPLY < <(compgen -W 'https://' -- "$cur") ;;
  --username | --k0s-version) COMPREPLY=() ;;
  --root)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    ;;
  --ca | --password-file | --k0s | --images | --config)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    ;;
  *)
    mapfile -t COMPREPLY < <(compgen -W '--mirror --ca --username --password-file --answer-timeout --k0s --k0s-version --images
      --root --plan --restart --check --remove --format --quiet --verbose --config --help --version' -- "$cur")
    ;;
  esac
}
complete -F _k0s_mirror_config k0s-mirror-config
