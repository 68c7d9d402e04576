# bash completion for bundle-version(1)

_bundle_version() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=
  [ "$COMP_CWORD" -eq 0 ] || prev=${COMP_WORDS[COMP_CWORD - 1]}
  case $prev in
  --format) mapfile -t COMPREPLY < <(compgen -W 'auto json table' -- "$cur") ;;
  *)
    case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W '--all --format --quiet --verbose --config --help
      --version' -- "$cur") ;;
    *)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      ;;
    esac
    ;;
  esac
}
complete -F _bundle_version bundle-version
