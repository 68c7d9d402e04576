# shellcheck shell=sh
# How install.sh runs a step: a function prints the lines of the step with run, put and
# write. --plan shows them. A run passes them to one shell in its own session, so that
# an interruption ends all of it, and logs their records.

# quote WORD…: quoted for a shell.
quote() {
  line=''
  for word; do
    case $word in '' | *[!A-Za-z0-9_./:@%+=,-]*)
      word=$(printf '%s.' "$word" | sed "s/'/'\\\\''/g")
      word="'${word%.}'"
      ;;
    esac
    line="$line${line:+ }$word"
  done
  printf %s "$line"
}

# run LINE [FILE]: prints a line of the step. Its records become FILE when it succeeds.
run() {
  [ -z "${2-}" ] || set -- "$1 >$2.new && cat $2.new && mv -f $2.new $2"
  if [ -n "$plan" ]; then printf '%s\n' "$1"; else printf '{ %s\n} || exit\n' "$1"; fi
}

# ours FILE: records, before it is created, what --uninstall removes.
ours() { grep -qxF -- "$1" $state/files 2>/dev/null || run "$(quote printf '%s\n' "$1") >>$state/files"; }
# put FILE PLACE MODE: installs it atomically, and only if it differs.
put() {
  if cmp -s -- "$1" "$2"; then return 0; fi
  ours "$2"
  case $2 in */oci-serve | */oci-serve.service) renewed ;; esac
  run "$(quote install -D -m "$3" "$1" "$2.new") && $(quote mv -f "$2.new" "$2")"
}

# write PLACE LINE…: the same with lines; it fails if they are there.
write() {
  place=$1
  shift
  if printf '%s\n' "$@" 2>/dev/null | cmp -s - "$place"; then return 1; fi
  run "$(quote mkdir -p "$(dirname "$place")") && $(quote printf '%s\n' "$@") >$(quote "$place.new") && $(quote mv -f "$place.new" "$place")"
}

# tidy DIR…: removes empty directories.
tidy() { for dir; do if [ -d "$dir" ]; then run "$(quote rmdir "$dir") 2>/dev/null || true"; fi; done; }
# keep installs this script for later, its parts first.
keep() {
  for file in "$lib"/*.sh; do put "$file" "$parts/${file##*/}" 644; done
  put "$self" $bin/k0rdent-airgap-install 755
}

# begin creates a directory for temporary files, and the log, readable only by root.
begin() {
  trap 'ended $?' EXIT
  [ -z "$plan" ] || return 0
  # Another user could have written the saved settings, or linked the log to a file of
  # the host.
  bad=$(find ${state%/*} $state -prune ! \( -type d -user 0 ! -perm /022 \) 2>/dev/null | head -n 1)
  [ -z "$bad" ] || fail "$bad is not a directory that only root can change" "look at what is in it; chown root $bad and chmod 755 $bad if that is yours"
  bad=$(find "$log" "$logs" "$logs/oci-serve.log" -prune -type l ! -user 0 2>/dev/null | head -n 1)
  [ -z "$bad" ] || fail "$bad is a symbolic link of another user" 'name another file with --log'
  mkdir -p -- ${state%/*}
  [ -d $state ] || mkdir -m 700 -- $state
  exec 9<$state
  flock -n 9 || fail 'another install.sh is at work on this host' 'wait until it has ended' 75
  [ ! -e $state/restart ] || restart=yes
  { (umask 077 && mkdir -p -- "$logs" && : >>"$log") 2>/dev/null && collect; } || fail "cannot write to $log" 'name another file with --log'
  full=''
  (head -c 65536 /dev/zero >$state/room.new) 2>/dev/null || full=yes
  rm -f $state/room.new
  [ -z "$full" ] || fail "cannot write to $state" "make room there; \"df $state\" shows what is free"
  trap interrupted INT TERM HUP
}

# perform NAME COMMAND…: runs a step, whose lines COMMAND prints.
perform() {
  step=$1 begun=$(date +%s) resume=$1 code=0
  shift
  if [ -n "$plan" ]; then
    echo "# $step"
    "$@"
    return
  fi
  say "[$number/$total] $step"
  echo "trap 'exit 130' TERM" >$state/step.new # after the running command
  "$@" >>$state/step.new
  setsid sh $state/step.new </dev/null >$state/records.new 9<&- &
  child=$!
  wait "$child" || code=$?
  child=''
  if [ "$code" != 0 ]; then
    case $step in serve | push) "${step}_failed" ;; esac
    exit "$code"
  fi
  collect || fail "cannot write to $log"
  [ ! -e "$log" ] || note "done" # not after --purge
  [ "$(seconds)" = 0 ] || say "[$number/$total] $step done in $(seconds) s"
  step=''
}

seconds() { echo $(($(date +%s) - begun)); }
# note STATUS: adds the record of the step to the log.
note() {
  text=$(printf %s "$error" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/["\\]/\\&/g')
  printf '{"kind":"step","by":"install.sh","name":"%s","status":"%s","seconds":%s,"time":"%s"%s}\n' \
    "$step" "$1" "$(seconds)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${error:+,\"error\":\"$text\"}" 2>/dev/null >>"$log" || say "cannot write to $log"
}

# collect adds the step's records to the log, or those of a killed step, except copied
# ones, which are there from the push.
collect() {
  for file in pushed extracted mirrored up records; do
    case $file$step in pushed* | recordspush) through='' ;; *) through=$passing ;; esac
    [ ! -e $state/$file.new ] || sed -nE "$through;/}\$/p" $state/$file.new 2>/dev/null >>"$log" || return
  done
  rm -rf $state/*.new
}

# ended CODE ends every run. It logs a step that did not succeed.
ended() {
  trap '' INT TERM HUP
  [ -z "$room" ] || rm -rf -- "$room"
  if [ -z "$step" ] || [ -n "$plan" ]; then return 0; fi
  collect || true
  note failed
  style=31
  if [ "$1" = 130 ]; then
    say "interrupted in step $step after $(seconds) s; run the same command to continue where it stopped"
  elif [ "$mode" = install ] && [ "$1" != 2 ] && [ -n "$resume" ]; then
    resume=" and --from $resume"
    [ "$step" != check ] && [ -z "$only" ] || resume=''
    say "step $step failed after $(seconds) s; fix that, then resume with the same command$resume"
  fi
}

# interrupted ends the running step and everything it started. A program that was just
# being started may have missed the first signal.
interrupted() {
  trap '' INT TERM HUP
  error=interrupted tries=0
  while [ -n "$child" ] && readlink "/proc/$child/exe" >/dev/null; do
    [ $((tries % 100)) != 0 ] || kill -s TERM -- "-$child" 2>/dev/null || kill -s TERM "$child" 2>/dev/null || true
    tries=$((tries + 1))
    sleep 0.1
  done
  exit 130
}
