# bash completion for oci-serve(8)

_oci_serve() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=
  [ "$COMP_CWORD" -eq 0 ] || prev=${COMP_WORDS[COMP_CWORD - 1]}
  case $prev in
  --host) mapfile -t COMPREPLY < <(compgen -W '0.0.0.0 127.0.0.1 ::' -- "$cur") ;;
  --port) mapfile -t COMPREPLY < <(compgen -W '5000 0' -- "$cur") ;;
  --tls) mapfile -t COMPREPLY < <(compgen -W 'auto' -- "$cur") ;;
  --write) mapfile -t COMPREPLY < <(compgen -W 'owner loopback auth any none' -- "$cur") ;;
  --read) mapfile -t COMPREPLY < <(compgen -W 'any auth' -- "$cur") ;;
  --access-log) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur") ;;
  --format) mapfile -t COMPREPLY < <(compgen -W 'auto json table' -- "$cur") ;;
  --storage | --k0s-dir | --files)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    ;;
  --tls-cert | --tls-key | --htpasswd | --password-file | --config)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    ;;
  --tls-name) ;; # names that this host may not know yet
  --upload-limit | --passwd) ;;
  *) mapfile -t COMPREPLY < <(compgen -W '--host --port --storage --k0s-dir --files --files-http --tls --tls-name --tls-constrain
    --tls-cert --tls-key --write --read --htpasswd --passwd
    --password-file --remove --upload-limit --gc --uploads --layout --scrub --repair
    --purge --yes
    --access-log --format --config --quiet --verbose --help --version' -- "$cur") ;;
  esac
}
complete -F _oci_serve oci-serve
