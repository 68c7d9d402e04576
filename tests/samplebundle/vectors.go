package samplebundle

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
)

// A Vector is a small bundle with one defect, or with one thing that looks like
// a defect and is none.
type Vector struct {
	Name  string
	About string
	// Want is how a reader is to take it.
	Want Class
	// Entry is the path of the entry that has the defect.
	Entry string
	// Write writes the bundle, as tar.gz. The Manifest holds what a reader must
	// find whole: all entries but the damaged one, or those before the damage.
	Write func(io.Writer) (Manifest, error)
}

// Class is how a reader is to take a defect.
type Class string

// Classes. From Mismatch to Hostile one entry fails, the others do not, and the
// whole run counts as failed.
const (
	Fine       Class = "fine"       // no defect: the entry is in the Manifest
	Ambiguous  Class = "ambiguous"  // a warning; the entry is in the Manifest
	Sparse     Class = "sparse"     // an index lacks images; reported, not an error by itself
	Skipped    Class = "skipped"    // not for a registry; reported, not an error
	Mismatch   Class = "mismatch"   // bytes differ from their digest or size
	Incomplete Class = "incomplete" // something is not there
	Invalid    Class = "invalid"    // cannot be an image, or has no usable name
	Duplicate  Class = "duplicate"  // two entries claim one path or one reference
	Hostile    Class = "hostile"    // would reach outside the bundle
	Truncated  Class = "truncated"  // the bundle ends early: nothing behind is known
	Corrupt    Class = "corrupt"    // the bundle is not what was written
)

// Vectors returns all of them.
func Vectors() []Vector {
	var all []Vector
	for _, d := range slices.Concat(streamDefects, entryDefects, nameDefects) {
		v := Vector{Name: d.name, About: d.about, Want: d.want, Entry: d.entry}
		v.Write = func(w io.Writer) (Manifest, error) { return d.write(w) }
		if v.Entry == "" && d.want != Fine {
			v.Entry = victimPath
		}
		all = append(all, v)
	}
	return all
}

// FindVector returns the vector with a name, or false.
func FindVector(name string) (Vector, bool) {
	all := Vectors()
	i := slices.IndexFunc(all, func(v Vector) bool { return v.Name == name })
	if i < 0 {
		return Vector{}, false
	}
	return all[i], true
}

// victimPath is the last entry of the bundles that vectors are made from.
const victimPath = "zz/victim_v1.0.tar"

// A defect makes a vector. What is not set stays as in a sound bundle.
type defect struct {
	name, about string
	want        Class
	entry       string           // where, if not the victim
	options     Options          // layout of the bundle
	victim      product          // if not an image
	change      func(*tiny)      // alters entries
	damage      func(raw) []byte // alters the stream
	keeps       bool             // the victim is whole in spite of Want
}

// tiny is a bundle of a few small archives; the victim is the last.
type tiny struct {
	builder *builder
	entries []*archive
	victim  *archive
}

// raw is a bundle as a plain tar; at is where the victim's entry begins.
type raw struct {
	tar []byte
	at  int
}

func (d defect) write(w io.Writer) (Manifest, error) {
	t, err := newTiny(d)
	if err != nil {
		return Manifest{}, err
	}
	if d.change != nil {
		d.change(t)
	}
	good := t.entries
	if keeps := d.keeps || d.want == Fine || d.want == Ambiguous || d.want == Sparse; !keeps {
		good = t.entries[:slices.Index(t.entries, t.victim)]
	}
	m := manifestOf(d.options, good)
	if d.damage == nil {
		return m, compress(w, TarGz, func(w io.Writer) error { return writeTar(w, prefix(d.options), t.entries) })
	}
	r, err := t.raw()
	if err != nil {
		return Manifest{}, err
	}
	_, err = w.Write(d.damage(r))
	return m, err
}

func newTiny(d defect) (*tiny, error) {
	o := d.options
	o.Archives = 4
	entries, err := plan(o)
	if err != nil {
		return nil, err
	}
	t := &tiny{entries: entries}
	t.builder = &builder{Options: o, corpus: newCorpus(o.Seed), scale: 1, bases: map[string]*layer{}, tops: map[string]*blob{}}
	p := d.victim
	if p.path == "" {
		p = product{kind: "image", path: "zz/victim", tag: "v1.0"}
	}
	if t.victim, err = t.builder.archive(p, 1); err != nil {
		return nil, err
	}
	t.entries = append(t.entries, t.victim)
	return t, nil
}

// another makes one more archive, unlike the victim.
func (t *tiny) another(path string) *archive {
	a, err := t.builder.archive(product{kind: "image", path: "zz/another", tag: "v1.0"}, 1)
	if err != nil {
		panic(err) // a small image in memory
	}
	a.entry.Path = path
	return a
}

func (t *tiny) raw() (raw, error) {
	var before, whole bytes.Buffer
	last := len(t.entries) - 1
	if err := writeTar(&before, "", t.entries[:last]); err != nil {
		return raw{}, err
	}
	if err := writeTar(&whole, "", t.entries); err != nil {
		return raw{}, err
	}
	return raw{whole.Bytes(), before.Len() - 1024}, nil
}

// gzipTo compresses a tar and returns the position in the result of the offset at of the
// tar: the deflate blocks before it are complete there.
func (r raw) gzipTo(at int) (all []byte, offset int) {
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	steps := []func() error{
		func() error { _, err := zw.Write(r.tar[:at]); return err },
		zw.Flush,
		func() error { offset = b.Len(); _, err := zw.Write(r.tar[at:]); return err },
		zw.Close,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			panic(fmt.Sprintf("samplebundle: %v", err)) // into memory
		}
	}
	return b.Bytes(), offset
}
