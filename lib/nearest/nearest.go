// Package nearest finds the known word nearest to a mistyped one.
package nearest

import "strings"

// Likely returns the word of a list that word is likely a typo or an
// abbreviation of, or "".
func Likely(word string, list []string) string {
	if len(word) < 2 {
		return ""
	}
	near := Word(word, list)
	if Distance(word, near) <= max(1, len(word)/3) {
		return near
	}
	for _, other := range list {
		if len(other) > 1 && (strings.HasPrefix(other, word) || strings.HasPrefix(word, other)) {
			return other
		}
	}
	return ""
}

// Meant returns " (did you mean --to?)", with prefix before the word of the
// list that word is likely a typo of, or "".
func Meant(word string, list []string, prefix string) string {
	if near := Likely(word, list); near != "" {
		return " (did you mean " + prefix + near + "?)"
	}
	return ""
}

// Word returns the word of a list that is most similar to word, the first one
// if several are equally similar.
func Word(word string, list []string) string {
	best, at := "", -1
	for _, other := range list {
		if d := Distance(word, other); at < 0 || d < at {
			best, at = other, d
		}
	}
	return best
}

// Distance returns the number of letters to insert, delete, replace or swap
// with a neighbour to turn one word into the other, ignoring case.
func Distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, row[j]+1, last[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
