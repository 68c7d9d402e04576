package main

import (
	"bytes"
	"strings"
	"testing"

	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
)

// pushed returns the records of an oci-push that has sent what a site has.
func pushed(t *testing.T, s testSite, names ...string) string {
	t.Helper()
	reg, err := client.New(client.Options{At: s.at, CAFile: s.ca})
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	out := record.NewWriter(&b, nil)
	for _, name := range names {
		repository, tag, _ := strings.Cut(name, ":")
		digest, err := reg.Digest(t.Context(), repository, tag)
		if err != nil || digest == "" {
			t.Fatalf("%s: digest %q, %v", name, digest, err)
		}
		r := record.Image{Repository: repository, Tag: tag, Digest: digest, Status: record.StatusPushed, Registry: s.at, Reference: s.at + "/" + name}
		if err := out.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// move makes a tag stand for other content of the same repository, as anyone
// can who may write to the registry. It returns both digests.
func move(t *testing.T, s testSite, name string) (was, is string) {
	t.Helper()
	repository, tag, _ := strings.Cut(name, ":")
	reg, err := client.New(client.Options{At: s.at, CAFile: s.ca})
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	d, raw, err := reg.Manifest(t.Context(), repository, tag)
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.Replace(raw, []byte("{"), []byte("{\n"), 1)
	if err := reg.PutManifest(t.Context(), repository, tag, string(d.MediaType), raw); err != nil {
		t.Fatal(err)
	}
	return d.Digest.String(), digestOf(raw)
}

// An image of k0s may not have changed since it was pushed: not in the run that
// hears of the push, and in no later one.
func TestMovedTag(t *testing.T) {
	const name = "k0sproject/coredns:1.12.2"
	s, h := newSite(t), testHost(t)
	mirrored(t, h, s)
	records := pushed(t, s, name)
	if r := try(t, h, records, untilReady(s)...); r.step("k0s-start").Status != record.StatusDone {
		t.Fatalf("steps %s; %v\n%s", r.steps(), r.err, r.stderr)
	}
	was, is := move(t, s, name)
	for _, run := range []struct {
		stdin string
		args  []string
	}{{records, untilReady(s)}, {"", s.args("--plan", "--ignore", "images")}} {
		before := tree(t, h.root)
		r := try(t, h, run.stdin, run.args...)
		for _, want := range []string{was, is, name, "the tag has moved"} {
			if problem := r.step("preflight").Error; !strings.Contains(problem, want) || !strings.Contains(r.stderr, want) {
				t.Errorf("%v: preflight %q, stderr\n%s\nwant %q in both", run.args, problem, r.stderr, want)
			}
		}
		if !strings.Contains(r.stderr, "hint: push the verified bundle again") {
			t.Errorf("%v: no hint in\n%s", run.args, r.stderr)
		}
		if after := tree(t, h.root); after != before {
			t.Errorf("%v: the host was changed:\n%s\nwas\n%s", run.args, after, before)
		}
	}
	// What was sent on purpose is accepted with its records.
	if r := try(t, h, pushed(t, s, name), s.args("--plan")...); strings.Contains(r.stderr, "has moved") {
		t.Errorf("with new records:\n%s", r.stderr)
	}
}
