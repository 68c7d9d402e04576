# bash completion for oci-push(1)

_oci_push() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=
  [ "$COMP_CWORD" -eq 0 ] || prev=${COMP_WORDS[COMP_CWORD - 1]}
  case $prev in
  --to | --from | --jobs | --username | --from-username) return ;;
  --alias)
    # Lists the repositories of bundles that are directories, which takes no time.
    local word names=
    for word in "${COMP_WORDS[@]:1}"; do
      [ ! -d "$word" ] || names+=" $(bundle-ls --quiet --format '{{.repository}}=' "$word" 2>/dev/null | sort -u)"
    done
    compopt -o nospace
    mapfile -t COMPREPLY < <(compgen -W "$names" -- "$cur")
    ;;
  --files)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    ;;
  --memory) mapfile -t COMPREPLY < <(compgen -W '64MiB 256MiB 1GiB' -- "$cur") ;;
  --platform) mapfile -t COMPREPLY < <(compgen -W 'linux/amd64 linux/arm64' -- "$cur") ;;
  --answer-timeout) mapfile -t COMPREPLY < <(compgen -W '30s 2m' -- "$cur") ;;
  --format) mapfile -t COMPREPLY < <(compgen -W 'auto json table' -- "$cur") ;;
  *)
    case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W '--to --from --jobs --memory --platform
      --verified-by --alias --files --plan --ca --plain-http --answer-timeout --insecure-skip-tls-verify --username
      --password-file --from-username --from-password-file --format --quiet --verbose
      --config --help --version' -- "$cur") ;;
    *)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      ;;
    esac
    ;;
  esac
}
complete -F _oci_push oci-push
