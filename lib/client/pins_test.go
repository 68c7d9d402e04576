package client

import (
	"testing"

	"k0rdent-airgap/lib/record"
)

func TestPins(t *testing.T) {
	for _, c := range []struct{ name, at, reference, repository, want string }{
		{"same prefix", "h:1/p", "h:1/p/a:1", "a", "p/a:1"},
		{"another name of the host", "10.0.0.5:1/p", "127.0.0.1:1/p/a:1", "a", "p/a:1"},
		{"prefix in the repository", "h:1/p", "h:1/p/a:1", "p/a", "p/a:1"},
		{"no prefix", "h:1", "h:1/a:1", "a", "a:1"},
		{"of a bundle, not sent", "h:1/p", "", "a", "p/a:1"},
	} {
		reg, err := New(Options{At: c.at})
		if err != nil {
			t.Fatal(err)
		}
		known := Pins{"old:1": "sha256:o"}
		got := known.With(reg, []record.Image{{Reference: c.reference, Repository: c.repository, Tag: "1", Digest: "sha256:d"}})
		if got[c.want] != "sha256:d" || got["old:1"] != "sha256:o" || len(got) != 2 || len(known) != 1 {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
	reg, err := New(Options{At: "h:1/p"})
	if err != nil {
		t.Fatal(err)
	}
	pins := Pins{"p/a:1": "sha256:d"}
	if pins.Check(reg, "a", "1", "sha256:d") != nil || pins.Check(reg, "a", "2", "sha256:e") != nil || Pins(nil).Check(reg, "a", "1", "sha256:e") != nil {
		t.Error("a tag that has not moved, or of which nothing is known, is refused")
	}
	if err := pins.Check(reg, "a", "1", "sha256:e"); err == nil || err.Error() != "h:1/p/a:1: the tag has moved: the registry has sha256:e, but sha256:d was pushed" {
		t.Errorf("a tag that has moved: %v", err)
	}
}
