# bash completion for bundle-ls(1)

_bundle_ls() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=
  [ "$COMP_CWORD" -eq 0 ] || prev=${COMP_WORDS[COMP_CWORD - 1]}
  case $prev in
  --registry | --username | --answer-timeout) ;; # sites and users have none to offer
  --map | --ca | --password-file | --config)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    ;;
  --format) mapfile -t COMPREPLY < <(compgen -W 'auto json table' -- "$cur") ;;
  *)
    case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W '--map --blobs --registry --du --ca --plain-http --answer-timeout
      --insecure-skip-tls-verify --username --password-file --format --quiet --verbose --config
      --help --version' -- "$cur") ;;
    *)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      ;;
    esac
    ;;
  esac
}
complete -F _bundle_ls bundle-ls
