package client

import (
	"fmt"
	"maps"
	"strings"

	"k0rdent-airgap/lib/record"
)

// Pins are the digests that tags had when they were pushed, by REPOSITORY:TAG
// with the registry's prefix. Anyone who can write to the registry can move a
// tag later; root must not install what it then refers to.
type Pins map[string]string

// With returns the pins together with those from records of images. The record
// of a push has the full reference; others refer to this registry.
func (p Pins) With(r *Registry, images []record.Image) Pins {
	all := maps.Clone(p)
	if all == nil {
		all = make(Pins)
	}
	for _, i := range images {
		_, name, found := strings.Cut(i.Reference, "/") // the host may have several names
		if !found {
			name = r.Repository(i.Repository) + ":" + i.Tag
		}
		all[name] = i.Digest
	}
	return all
}

// Of returns the digest that a tag must have, or "" if none is known.
func (p Pins) Of(r *Registry, repository, tag string) string {
	return p[r.Repository(repository)+":"+tag]
}

// Check returns a *MovedError if a tag's digest is not the one that it must
// have.
func (p Pins) Check(r *Registry, repository, tag, have string) error {
	want := p.Of(r, repository, tag)
	if want == "" || want == have {
		return nil
	}
	return &MovedError{Reference: r.Reference(repository, tag), Have: have, Want: want}
}

// MovedError means that a tag no longer refers to what was pushed.
type MovedError struct{ Reference, Have, Want string }

func (e *MovedError) Error() string {
	return fmt.Sprintf("%s: the tag has moved: the registry has %s, but %s was pushed", e.Reference, e.Have, e.Want)
}

// MovedHint returns the remedy for a MovedError; tool is the one to give the
// records to.
func MovedHint(tool string) string {
	return "push the verified bundle again, and find out who else can write to the registry; " +
		"if the new content is intended, give " + tool + " the records of the oci-push that sent it on stdin; those of install.sh are in /var/lib/k0rdentd/install/pushed"
}
