package record

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// parts lists the counts of a summary in the order for people: failures,
// contents, work done, omissions. Each group is one part of the sentence.
var parts = [][]struct{ key, one, many string }{
	{{"failed", "failed", ""}, {"missing", "missing", ""}, {"bad", "damaged", ""}, {"setAside", "set aside", ""}},
	{
		{"image", "image", "images"}, {"chart", "chart", "charts"}, {"index", "index", "indexes"}, {"artifact", "artifact", "artifacts"}, {"file", "file", "files"},
		{"pushed", "pushed", ""}, {"exists", "already exists", "already exist"}, {"planned", "planned", ""},
		{"done", "done", ""}, {"written", "written", ""}, {"unchanged", "unchanged", ""}, {"removed", "removed", ""},
		{"kept", "kept", ""}, {"good", "good", ""},
	},
	{{"skipped", "skipped", ""}},
}

// Sentence is what a person reads in place of a record; see Writer.WriteAs.
type Sentence string

// sentence returns the sentence that is shown for a record, or "".
func sentence(shown any) string {
	switch r := shown.(type) {
	case Sentence:
		return printable(string(r))
	case Summary:
		return r.String()
	default:
		return ""
	}
}

// String returns the summary as a sentence, or "" if there is nothing to add to
// the error of the run: nothing was counted but its failure.
func (s Summary) String() string {
	if s.Bytes == 0 && (len(s.Counts) == 0 || len(s.Counts) == 1 && s.Counts["failed"] == 1) {
		return ""
	}
	rest := maps.Clone(s.Counts)
	var sentence []string
	for _, group := range parts {
		var words []string
		for _, p := range group {
			n, found := rest[p.key]
			if !found {
				continue
			}
			delete(rest, p.key)
			name := p.one
			if n != 1 {
				name = cmp.Or(p.many, p.one)
			}
			words = append(words, fmt.Sprintf("%d %s", n, name))
		}
		if len(words) > 0 {
			sentence = append(sentence, strings.Join(words, ", "))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(rest)) {
		sentence = append(sentence, fmt.Sprintf("%d %s", rest[key], key))
	}
	if s.Bytes > 0 {
		sentence = append(sentence, Bytes(s.Bytes))
	}
	return fmt.Sprintf("%s: %s in %.1f s", s.Tool, strings.Join(sentence, "; "), s.Seconds)
}

// Seconds returns a duration in the form used in records: in seconds, rounded
// to the millisecond.
func Seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}
