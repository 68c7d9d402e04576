package main

import (
	"strings"
	"testing"

	"k0rdent-airgap/lib/record"
)

// TestMovedTag refuses images of k0s whose tag has moved since the push, in the run
// that reads the records of the push and in every later one.
func TestMovedTag(t *testing.T) {
	const name = "k0sproject/coredns:1.12.2"
	s, h := newSite(t), testHost(t)
	mirrored(t, h, s)
	records := s.Pushed(t, name)
	if r := try(t, h, records, untilReady(s)...); r.Step("k0s-start").Status != record.StatusDone {
		t.Fatalf("steps %s; %v\n%s", r.Steps(), r.Err, r.Stderr)
	}
	was, is := s.Move(t, name)
	for _, run := range []struct {
		stdin string
		args  []string
	}{{records, untilReady(s)}, {"", s.args("--plan", "--ignore", "images")}} {
		before := tree(t, h.root)
		r := try(t, h, run.stdin, run.args...)
		for _, want := range []string{was, is, name, "the tag has moved"} {
			if problem := r.Step("preflight").Error; !strings.Contains(problem, want) || !strings.Contains(r.Stderr, want) {
				t.Errorf("%v: preflight %q, stderr\n%s\nwant %q in both", run.args, problem, r.Stderr, want)
			}
		}
		if !strings.Contains(r.Stderr, "hint: push the verified bundle again") {
			t.Errorf("%v: no hint in\n%s", run.args, r.Stderr)
		}
		if after := tree(t, h.root); after != before {
			t.Errorf("%v: the host was changed:\n%s\nwas\n%s", run.args, after, before)
		}
	}
	// The records of a new push replace the digests.
	if r := try(t, h, s.Pushed(t, name), s.args("--plan")...); strings.Contains(r.Stderr, "has moved") {
		t.Errorf("with new records:\n%s", r.Stderr)
	}
}
