package cli

import (
	"io"
	"testing"
)

func TestFilled(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"one two":               "one two",
		"one two three":         "one two   three",
		"exactly-10 and more":   "exactly-10 and more",
		"exactly 10 more":       "exactly   10 more",
		"one-that-is-longer is": "one-that-is-longer  is",
	} {
		if got := filled(in, 10); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got, want := hintLine(io.Discard, "a\nb  c"), "hint: a b  c\n"; got != want {
		t.Errorf("in a pipe: %q, want %q", got, want)
	}
}
