package main

// nearest gives the word of a list that is the most like another, and the
// first of those that are alike.
func nearest(word string, list []string) string {
	best, at := "", -1
	for _, other := range list {
		if d := distance(word, other); at < 0 || d < at {
			best, at = other, d
		}
	}
	return best
}

// distance counts the letters that must be added, removed or replaced to make
// one word of the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if lower(a[i]) == lower(b[j]) {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
