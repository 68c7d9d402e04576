# A terminal whose screen is looked at.
# shellcheck disable=SC2154 # hosts and there are set by host.bash

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

# terminal COLUMNS COMMAND: runs a command line on host a, in a terminal.
terminal() {
  { declare -p hosts there && declare -f on && echo "on a sh -c $(printf %q "$2")"; } >typed.host
  window "$1" 'bash typed.host'
}

# same_everywhere: makes every duration, time and digest the same, sizes have another
# unit, and the platform and size of what is for this machine. It drops how long a step
# took, which only those have that took a second.
same_everywhere() {
  sed -E '/^install\.sh: \[.*\] [a-z0-9-]+ done in [0-9]+ s$/d; s/( )[0-9]\.[0-9]( s\>|$|  )/\10.0\2/g; s/\<[0-9]\.[0-9] s\>/0.0 s/; s/\<[0-9]+ s\>/0 s/; s/ at 20[0-9T:-]+Z$/ at TIME/; s/sha256:[0-9a-f]{64}/sha256:1f/; '"${joined:+s/[0-9]+\.[0-9] s\>/0.0 s/; s/[0-9.]+ [kM]B in 0/1.0 kB in 0/;}"' s,linux/(amd64|arm64) +[0-9.]+ kB,linux/amd64   13.9 kB,'
}

# screen NAME COMMAND [KEY]: compares the screens of a command with the expected ones;
# COLUMNS is in its environment. KEY is pressed once there is a line. With $joined, what
# the terminal has broken is joined again. $widths are the columns.
screen() {
  local columns key seen deadline file
  for columns in ${widths-80 40}; do
    terminal "$columns" "COLUMNS=$columns; cd /media; $2"
    deadline=$((SECONDS + 60)) key=${3-}
    until seen=$("${tmux[@]}" capture-pane -p ${joined:+-J} -S - | sed 's/ *$//; /^$/d' | same_everywhere) && [[ $seen =~ end\ [0-9]+$ ]]; do
      [ -z "$key" ] || [[ $seen != *$'\n'* ]] || { "${tmux[@]}" send-keys "$key" && key=''; }
      [ $SECONDS -lt $deadline ] || { printf '%s:\n%s\n' "$1" "$seen"; return 1; }
      sleep 0.1
    done
    "${tmux[@]}" kill-server
    file=$ROOT/tests/tty/$1.$columns
    seen=$(sed 1d <<<"$seen")
    [ -z "${TTY_UPDATE-}" ] || echo "$seen" >"$file"
    same "$(cat "$file")" "$seen" || { echo "$file differs"; return 1; }
  done
}
