# A terminal whose screen is looked at.

# window COLUMNS COMMAND: runs a command line in a terminal of its own.
window() {
  need tmux
  # Empty lines above: tmux takes some off the top when others are broken, and the
  # cursor, if it is there, stays where it is.
  printf '%s\n' 'echo begin; printf "\n\n\n\n\n\n\n\n"' "$2" 'echo end $?' >typed
  # A socket of its own, since the server before may not have ended yet.
  tmux=(tmux -u -S "$PWD/tmux${#servers[@]}" -f /dev/null)
  LC_ALL=C.UTF-8 "${tmux[@]}" new-session -d -x "$1" -y 60 "trap : INT; . ./typed; sleep 60" 3>&-
  servers+=("$("${tmux[@]}" display -p '#{pid}')")
}

# shows LINE…: waits until the screen, with what scrolled off it, has these lines and no other, each an
# extended regular expression.
shows() {
  local wanted seen deadline=$((SECONDS + 60))
  wanted=$(printf '%s\n' "$@")
  until seen=$("${tmux[@]}" capture-pane -p -S - | sed '/^$/d') && [[ $seen =~ ^$wanted$ ]]; do
    if [ $SECONDS -ge $deadline ]; then
      printf 'the screen shows\n%s\n' "$seen"
      return 1
    fi
    sleep 0.05
  done
}

resize() { "${tmux[@]}" resize-window -x "$1"; }
