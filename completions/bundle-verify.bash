# bash completion for bundle-verify(1)

_bundle_verify() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=
  [ "$COMP_CWORD" -eq 0 ] || prev=${COMP_WORDS[COMP_CWORD - 1]}
  case $prev in
  --format) mapfile -t COMPREPLY < <(compgen -W 'auto json table' -- "$cur") ;;
  --digest) mapfile -t COMPREPLY < <(compgen -W 'sha256:' -- "$cur") ;;
  *)
    case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W '--key --signature --digest --plan --format --quiet --verbose --config
      --help --version' -- "$cur") ;;
    *)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      ;;
    esac
    ;;
  esac
}
complete -F _bundle_verify bundle-verify
