# bash completion for k0s-extract(1)

_k0s_extract() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=
  [ "$COMP_CWORD" -eq 0 ] || prev=${COMP_WORDS[COMP_CWORD - 1]}
  case $prev in
  --k0s-version | --username) return ;;
  --platform) mapfile -t COMPREPLY < <(compgen -W 'linux/amd64 linux/arm64 linux/arm linux/riscv64' -- "$cur") ;;
  --answer-timeout) mapfile -t COMPREPLY < <(compgen -W '30s 2m' -- "$cur") ;;
  --format) mapfile -t COMPREPLY < <(compgen -W 'auto json table' -- "$cur") ;;
  *)
    case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W '--to --name --from --platform --k0s-version
      --replace --plan --ca --plain-http --answer-timeout --username --password-file --flavor
      --format --quiet --verbose --config --help --version' -- "$cur") ;;
    *)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      ;;
    esac
    ;;
  esac
}
complete -F _k0s_extract k0s-extract
