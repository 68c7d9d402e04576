// Package samplebundle makes bundles in the vendor's layout for tests and
// measurements: the same options give the same bytes, whatever the size.
//
// The contents of a bundle are decided once, and the Manifest describes them. Nothing here
// uses the code under test, so the Manifest can judge it: digests come from the standard
// library, names from the catalogue in this package.
//
// A bundle is written as a stream. Big layers are made twice, once for their
// digests and once to be written, and are never held; 3 GiB need about 180 MiB.
//
// Vectors returns bundles with one defect each.
package samplebundle

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
)

// Options say what to make. The zero value is a small bundle: the core of the
// catalogue, in tens of kilobytes.
type Options struct {
	// Format is how Write encodes the bundle.
	Format Format
	// Size is about how many bytes the bundle has as a tar. The smallest bundle, for 0, has
	// only the fixed parts (manifests, charts).
	Size int64
	// Archives is the number of OCI archives, taken from the catalogue in
	// order; 0 stands for CoreArchives, which name nothing that is missing.
	Archives int
	// Seed varies all content, and with it all digests.
	Seed uint64
	// Release is the version of the vendor's charts; "" stands for DefaultRelease.
	Release string
	// Bundle is one of the vendor's further bundles, BareMetal or Ceph, and ""
	// the platform's own. Archives has no effect on a further one.
	Bundle string
	// Top is a directory around everything, "" for none.
	Top string
	// DotSlash puts "./" before every name, as tar -C DIR . does.
	DotSlash bool
	// Sparse leaves the arm64 image out of one multi-platform index (etcd, or
	// else the first in the catalogue).
	Sparse bool
	// K0s is a file to be found as /usr/local/bin/k0s in the k0s image, on
	// every platform; "" stands for a tiny program that prints its version,
	// StandIn for the stand-in for k0s that tests run.
	K0s string
}

// StandIn is the K0s that can be installed, started and asked.
const StandIn = "stand-in"

// DefaultRelease is the release whose contents the catalogue follows.
const DefaultRelease = "1.2.3"

// The vendor's further bundles, and the releases that their contents follow.
const (
	BareMetal = "bare-metal"
	Ceph      = "ceph"

	DefaultBareMetal = "0.2.2"
	DefaultCeph      = "1.0.11"
)

// Format is the encoding of a bundle in a file.
type Format string

// The formats that Write knows; WriteDir makes the fourth form, a directory.
const (
	TarGz  Format = "tar.gz" // the zero value of Options stands for this
	TarZst Format = "tar.zst"
	Tar    Format = "tar"
)

// A Manifest describes the contents of a bundle.
type Manifest struct {
	// Root is the directory that everything is in, "" for none.
	Root string `json:"root,omitempty"`
	// Entries are in bundle order.
	Entries []Entry `json:"entries"`
}

// Kinds of an entry.
const (
	KindOCI    = "oci"    // an OCI archive
	KindDocker = "docker" // a docker-archive, not for the registry
	KindStray  = "stray"  // not an archive
	KindFile   = "file"   // not an archive, for an HTTP server
)

// An Entry is one file of the bundle.
type Entry struct {
	Path       string   `json:"path"` // from the root, with slashes
	Kind       string   `json:"kind"`
	Size       int64    `json:"size"`           // of the file
	Name       string   `json:"name,omitempty"` // of a file, below a server's address
	Repository string   `json:"repository,omitempty"`
	Tag        string   `json:"tag,omitempty"`
	Digest     string   `json:"digest,omitempty"`
	MediaType  string   `json:"mediaType,omitempty"`
	Type       string   `json:"type,omitempty"` // image, index, chart or artifact
	Platforms  []string `json:"platforms,omitempty"`
	Chart      *Chart   `json:"chart,omitempty"`
	// Subject is the digest of the manifest that it refers to, "" for none.
	Subject string `json:"subject,omitempty"`
	// Annotation is the reference name in index.json, "" where there is none.
	Annotation string `json:"annotation,omitempty"`
	// Blobs are the files under blobs/, manifests included, each once, by digest.
	Blobs []Blob `json:"blobs,omitempty"`
	// Missing are digests that a manifest names and the archive lacks.
	Missing []string `json:"missing,omitempty"`
}

// A Chart is what Chart.yaml says.
type Chart struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	AppVersion string `json:"appVersion,omitempty"`
}

// A Blob is one file under blobs/ of an archive.
type Blob struct {
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
}

// Find returns the entry with a path, or false.
func (m Manifest) Find(name string) (Entry, bool) {
	i := slices.IndexFunc(m.Entries, func(e Entry) bool { return e.Path == name })
	if i < 0 {
		return Entry{}, false
	}
	return m.Entries[i], true
}

// Write writes a bundle as one file.
func Write(w io.Writer, o Options) (Manifest, error) {
	archives, err := plan(o)
	if err != nil {
		return Manifest{}, err
	}
	return manifestOf(o, archives), compress(w, o.Format, func(w io.Writer) error {
		return writeTar(w, prefix(o), archives)
	})
}

// WriteDir writes a bundle as a directory, which is made and must be new or empty.
func WriteDir(dir string, o Options) (Manifest, error) {
	archives, err := plan(o)
	if err != nil {
		return Manifest{}, err
	}
	if old, err := os.ReadDir(dir); err == nil && len(old) > 0 {
		return Manifest{}, fmt.Errorf("%s: not empty", dir)
	}
	for _, a := range archives {
		if err := writeFile(filepath.Join(dir, o.Top, filepath.FromSlash(a.entry.Path)), a); err != nil {
			return Manifest{}, err
		}
	}
	return manifestOf(o, archives), nil
}

func writeFile(name string, a *archive) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	b := bufio.NewWriterSize(f, 1<<20)
	if err := a.write(b); err != nil {
		return err
	}
	return b.Flush()
}

func manifestOf(o Options, archives []*archive) Manifest {
	m := Manifest{Root: o.Top}
	for _, a := range archives {
		e := a.entry
		e.Size = a.size()
		m.Entries = append(m.Entries, e)
	}
	return m
}

func prefix(o Options) string {
	p := ""
	if o.DotSlash {
		p = "./"
	}
	if o.Top != "" {
		p += o.Top + "/"
	}
	return p
}

// compress encodes what fill writes. The gzip level is the highest because only
// there does this encoder spend Huffman codes on data that hardly shrinks, as
// gzip and tar czf do at every level. At lower levels it stores such data as it
// is, and inflating the bundle would be ten times as fast as in reality.
func compress(w io.Writer, f Format, fill func(io.Writer) error) error {
	var c io.WriteCloser
	var err error
	switch f {
	case TarGz, "":
		c, err = pgzip.NewWriterLevel(w, pgzip.BestCompression)
	case TarZst:
		c, err = zstd.NewWriter(w)
	case Tar:
		return fill(w)
	default:
		return fmt.Errorf("no such format: %q", f)
	}
	if err != nil {
		return err
	}
	if err := fill(c); err != nil {
		c.Close()
		return err
	}
	return c.Close()
}

// writeTar writes the outer tar: directories before what is in them.
func writeTar(w io.Writer, prefix string, archives []*archive) error {
	tw := tar.NewWriter(w)
	if err := writeEntries(tw, prefix, archives); err != nil {
		return err
	}
	return tw.Close()
}

func writeEntries(tw *tar.Writer, prefix string, archives []*archive) error {
	seen := map[string]bool{}
	for _, a := range archives {
		name := prefix + a.entry.Path
		if err := writeDirs(tw, name, seen); err != nil {
			return err
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: a.size(), Uname: "root", Gname: "root"}
		if a.link != 0 {
			h = &tar.Header{Typeflag: a.link, Name: name, Mode: 0o644, Linkname: a.target}
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if a.link != 0 {
			continue
		}
		if err := a.write(tw); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func writeDirs(tw *tar.Writer, name string, seen map[string]bool) error {
	for i, ch := range name {
		dir := name[:i+1]
		if ch != '/' || seen[dir] || !filepath.IsLocal(dir) {
			continue
		}
		seen[dir] = true
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, Uname: "root", Gname: "root"}); err != nil {
			return err
		}
	}
	return nil
}
