# Completes each command line on stdin as bash does, and prints what it offers:
# the line, a tab, a candidate. Completions are in the directory $1.
while IFS= read -r line; do
  read -ra COMP_WORDS <<<"$line"
  [[ $line != *' ' ]] || COMP_WORDS+=('')
  # shellcheck disable=SC2034 # read by the completion
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  tool=${COMP_WORDS[0]}
  # shellcheck disable=SC1090
  complete -p "$tool" >/dev/null 2>&1 || source "$1/$tool.bash"
  function=$(complete -p "$tool" | sed 's/.* -F \([^ ]*\) .*/\1/')
  COMPREPLY=()
  # It cannot tell the editor that these are files, since there is none here.
  "$function" "$tool" "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}" 2> >(grep -v 'compopt: not currently executing' >&2)
  for candidate in "${COMPREPLY[@]}"; do printf '%s\t%s\n' "$line" "$candidate"; done
done
