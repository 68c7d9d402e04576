# bash completion for oci-serve(8)

_oci_serve() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=
  [ "$COMP_CWORD" -eq 0 ] || prev=${COMP_WORDS[COMP_CWORD - 1]}
  case $prev in
  --host) mapfile -t COMPREPLY < <(compgen -W '0.0.0.0 127.0.0.1 ::' -- "$cur") ;;
  --port) mapfile -t COMPREPLY < <(compgen -W '5000 0' -- "$cur") ;;
  --write) mapfile -t COMPREPLY < <(compgen -W 'loopback any none' -- "$cur") ;;
  --format) mapfile -t COMPREPLY < <(compgen -W 'json table' -- "$cur") ;;
  --storage)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    ;;
  --config)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    ;;
  *) mapfile -t COMPREPLY < <(compgen -W '--host --port --storage --write --gc --format --config
    --quiet --verbose --help --version' -- "$cur") ;;
  esac
}
complete -F _oci_serve oci-serve
