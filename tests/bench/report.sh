# shellcheck shell=bash
# shellcheck disable=SC2154 # set by run.sh: rows, runs, parts, work
# What run.sh prints. Columns of rows: part, contender, round, seconds, CPU
# seconds, peak RSS, bytes written, peak RSS of the server, bytes stored (for
# bundle-ls: bytes read).

ndjson() {
  awk -F '\t' '{printf "{\"kind\":\"bench\",\"part\":\"%s\",\"contender\":\"%s\",\"round\":%d,\"seconds\":%s,\"cpuSeconds\":%s,\"peakRSS\":%d,\"writtenBytes\":%d,\"serverPeakRSS\":%d,\"%s\":%d}\n",
    $1, $2, $3, $4, $5, $6, $7, $8, $1 == "list" ? "readBytes" : "storedBytes", $9}'
}

# median PART CONTENDER COLUMN
median() {
  awk -F '\t' -v p="$1" -v c="$2" -v n="$3" '$1 == p && $2 == c {print $n}' "$rows" | sort -g |
    awk '{v[NR] = $1} END {print (NR ? (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 : "nan")}'
}

# most PART CONTENDER COLUMN
most() { awk -F '\t' -v p="$1" -v c="$2" -v n="$3" '$1 == p && $2 == c && $n > m {m = $n} END {print m + 0}' "$rows"; }

# goal TEXT VALUE FORMAT RELATION LIMIT: one line of the table of goals.
goal() {
  awk -v t="$1" -v v="$2" -v f="$3" -v r="$4" -v l="$5" 'BEGIN {
    ok = r == "<=" ? v <= l : v >= l
    printf "| %s | " f " | %s " f " | %s |\n", t, v, r, l, v == "nan" ? "not measured" : ok ? "yes" : "NO"
  }'
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN {print (b > 0 ? a / b : "nan")}'; }

report() {
  local part contender fastest stored
  printf '%s, %s CPUs, %s of memory, Linux %s, %s, skopeo %s\n' "$(date -u +%F)" "$(nproc)" "$(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo)" \
    "$(uname -r)" "$(go env GOVERSION)" "$(skopeo --version | awk '{print $3}')"
  printf 'bundle: %s bytes as tar.gz, %s as a directory, %s archives; rounds: %s; load at the end: %s\n\n' \
    "$(stat -Lc %s "$work/bundle.tgz")" "$(du -sb "$work/bundle" | cut -f1)" "$(wc -l <"$work/list")" "$runs" "$(cut -d' ' -f1-3 /proc/loadavg)"
  echo '| part | command | seconds | CPU s | peak RSS MB | temp MB written | oci-serve peak RSS MB | MB stored |'
  echo '|---|---|---:|---:|---:|---:|---:|---:|'
  cut -f1,2 "$rows" | awk '!seen[$0]++' | while IFS=$'\t' read -r part contender; do
    stored=$(median "$part" "$contender" 9)
    [ "$part" != list ] || stored=0
    printf '| %s | %s | %.2f | %.2f | %.0f | %.1f | %.0f | %.0f |\n' "$part" "$contender" "$(median "$part" "$contender" 4)" "$(median "$part" "$contender" 5)" \
      "$(ratio "$(most "$part" "$contender" 6)" 1000000)" "$(ratio "$(most "$part" "$contender" 7)" 1000000)" \
      "$(ratio "$(most "$part" "$contender" 8)" 1000000)" "$(ratio "$stored" 1000000)"
  done
  echo
  echo '| goal | measured | limit | met |'
  echo '|---|---:|---:|---|'
  case " $parts " in *' archive '*)
    goal 'time of oci-push for a tar.gz, relative to gunzip alone' "$(ratio "$(median archive oci-push 4)" "$(median archive gunzip 4)")" '%.2f' '<=' 1.2
    goal 'time of tar and skopeo, relative to oci-push' "$(ratio "$(median archive 'tar + skopeo' 4)" "$(median archive oci-push 4)")" '%.1f' '>=' 4
    goal 'temp bytes that oci-push writes' "$(most archive oci-push 7)" '%d' '<=' 0
    goal 'peak RSS of oci-push, MB' "$(ratio "$(most archive oci-push 6)" 1000000)" '%.0f' '<=' 96
    goal 'peak RSS of oci-serve meanwhile, MB' "$(ratio "$(most archive oci-push 8)" 1000000)" '%.0f' '<=' 64 ;;
  esac
  case " $parts " in *' pipe '*)
    goal 'time of bundle-ls and oci-push in a pipe, relative to oci-push alone' "$(ratio "$(median pipe 'bundle-ls, oci-push' 4)" "$(median pipe oci-push 4)")" '%.2f' '<=' 1.1 ;;
  esac
  case " $parts " in *' trust '*)
    goal 'MB/s verified by bundle-verify' "$(ratio "$(stat -Lc %s "$work/bundle.tgz")" "$(awk -v s="$(median trust bundle-verify 4)" 'BEGIN {print s * 1000000}')")" '%.0f' '>=' 1000
    goal 'peak RSS of bundle-verify, MB' "$(ratio "$(most trust bundle-verify 6)" 1000000)" '%.0f' '<=' 64 ;;
  esac
  case " $parts " in *' archive '*' trust '*)
    goal 'time of verifying while pushing, relative to oci-push alone' "$(ratio "$(median trust 'verify while pushing' 4)" "$(median archive oci-push 4)")" '%.2f' '<=' 1.5 ;;
  esac
  case " $parts " in *' slowdisk '*)
    goal 'time of verifying while pushing from a slow disk, relative to verifying' "$(ratio "$(median slowdisk 'verify while pushing' 4)" "$(median slowdisk bundle-verify 4)")" '%.2f' '<=' 1.2 ;;
  esac
  case " $parts " in *' directory '*)
    fastest=$(for contender in skopeo regctl oras; do median directory $contender 4; done | sort -g | head -n 1)
    goal 'time of the fastest other tool on a directory, relative to oci-push' "$(ratio "$fastest" "$(median directory oci-push 4)")" '%.2f' '>=' 1
    goal 'seconds to push a directory again' "$(median directory 'oci-push again' 4)" '%.2f' '<=' 2 ;;
  esac
  case " $parts " in *' list '*)
    goal 'MB that bundle-ls reads of a directory' "$(ratio "$(most list bundle-ls 9)" 1000000)" '%.2f' '<=' 5 ;;
  esac
  case " $parts " in *' extract '*)
    goal 'time of tar, three times, relative to k0s-extract' "$(ratio "$(median extract 'tar, tar, tar' 4)" "$(median extract k0s-extract 4)")" '%.1f' '>=' 3
    goal 'bytes that k0s-extract writes when k0s is up to date' "$(most extract 'k0s-extract again' 7)" '%d' '<=' 0
    goal 'peak RSS of k0s-extract, MB' "$(ratio "$(for c in k0s-extract 'k0s-extract again' 'k0s-extract, verified' 'k0s-extract, directory'; do most extract "$c" 6; done | sort -g | tail -n 1)" 1000000)" '%.0f' '<=' 64 ;;
  esac
  case " $parts " in *' pull '*)
    printf '\nPulls from oci-serve, last round:\n\n'
    sed 's/^/    /' "$work/pull-$runs" ;;
  esac
}
