package record

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// Verdict returns the result of verifying a bundle for a person, with the names of
// the bundle and of the public key.
func (b Bundle) Verdict(name, key string) string {
	is, what := "is", "what the owner of "+key+" signed"
	if b.Key == "" {
		is, what = "has", "the digest that was given"
	}
	outcome := SignatureGood
	if b.Signature == SignatureBad {
		outcome, is = SignatureBad, map[string]string{"is": "is not", "has": "does not have"}[is]
	}
	return fmt.Sprintf("%s: %s %s %s", outcome, name, is, what)
}

// Release returns the release and its k0s versions.
func (v Version) Release() Sentence {
	text := cmp.Or(v.Type, v.Name) + " " + v.Version
	if len(v.K0s) > 0 {
		text += ", k0s " + strings.Join(v.K0s, " ")
	}
	return Sentence(text)
}

// notice returns what a person, who sees only the last tool of a pipeline, must
// know of a record that this tool passes on: the verdict on a bundle, its
// release, or that something failed. It returns "" for other records.
func notice(l Line) Sentence {
	var b Bundle
	var v Version
	var s Summary
	switch l.Kind {
	case b.Kind():
		// One without a digest was not verified.
		if json.Unmarshal(l.Raw, &b) == nil && b.Digest != "" && b.Signature != SignatureUnknown {
			name := filepath.Base(b.Path)
			if b.Path == "-" {
				name = "stdin"
			}
			return Sentence(b.Verdict(name, "the key"))
		}
	case v.Kind():
		if json.Unmarshal(l.Raw, &v) == nil && v.Version != "" {
			return v.Release()
		}
	case s.Kind():
		if json.Unmarshal(l.Raw, &s) == nil && cmp.Or(s.Counts[StatusFailed], s.Counts["missing"], s.Counts[SignatureBad]) > 0 {
			return Sentence(s.String())
		}
	}
	return ""
}
