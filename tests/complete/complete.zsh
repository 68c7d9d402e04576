# Completes each command line on stdin as zsh does, and prints what it offers:
# the line, a tab, a candidate. Completions are in the directory $1. They run in
# an interactive zsh of its own, on a pseudo-terminal, since only there is an
# editor to complete in.
zmodload zsh/zpty
work=$(mktemp -d)
trap 'rm -rf $work' EXIT
mkfifo $work/offers
print -r -- "
  PROMPT= RPROMPT= LISTMAX=10000
  unsetopt auto_menu beep
  fpath=(${(q)1} \$fpath)
  autoload -U compinit && compinit -u -d $work/dump
  zstyle ':completion:*' use-cache no
  # Whatever is offered to the editor passes here; searches do not count.
  compadd() {
    local -a offered
    if (( ! \${argv[(I)-[AOD]]} )); then
      builtin compadd -A offered \"\$@\"
      (( ! \$#offered )) || print -u 3 -rl -- \$offered
    fi
    builtin compadd \"\$@\"
  }
  offers() {
    _main_complete
    print -u 3 -r -- END
  }
  zle -C offers .complete-word offers
  bindkey '^I' offers
  # What is typed before the editor is at work would be the terminal's.
  zle-line-init() { print -u 3 -r -- END }
  zle -N zle-line-init
  exec 3>$work/offers
" >$work/setup
zpty -b editor zsh -f -i
zpty -w editor "source $work/setup"
exec 4<$work/offers
# take LINE: prints the offers up to the mark.
take() {
  local offer
  while IFS= read -r -u 4 -t 10 offer; do
    [[ $offer != END ]] || return 0
    print -r -- "$1"$'\t'"$offer"
  done
  print -u 2 "no answer to: $1"
  return 1
}
take start || exit
while IFS= read -r line; do
  zpty -n -w editor "$line"$'\t\C-U'
  take "$line" || exit
done
zpty -d editor
