package samplebundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"testing"
)

// Each vector keeps the entries of its Manifest whole, and a stream defect is
// one that gunzip or tar can notice.
func TestVectors(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range Vectors() {
		t.Run(v.Name, func(t *testing.T) {
			if seen[v.Name] || v.About == "" || (v.Entry == "") != (v.Want == Fine && v.Entry == "") {
				t.Errorf("vector %+v is not described well", v)
			}
			seen[v.Name] = true
			var b bytes.Buffer
			m, err := v.Write(&b)
			if err != nil {
				t.Fatal(err)
			}
			if b.Len() > 2<<20 {
				t.Errorf("%d bytes, want a small file", b.Len())
			}
			found, err := read(b.Bytes())
			stream := v.Want == Truncated || v.Want == Corrupt
			if (err != nil) != stream {
				t.Errorf("reading it = %v, want an error only of a damaged stream", err)
			}
			if v.Want == Truncated && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("reading it = %v, want an unexpected end", err)
			}
			for _, e := range m.Entries {
				p, ok := found[path.Join(m.Root, e.Path)]
				if !ok || int64(len(p)) != e.Size {
					t.Errorf("%s: %d bytes (%v), want %d", e.Path, len(p), ok, e.Size)
				}
				if e.Kind == KindOCI && v.Name != "index-first" {
					checkArchive(t, e, p)
				}
			}
			if _, ok := m.Find(victimPath); ok && v.Want != Fine && v.Want != Sparse && v.Want != Ambiguous && !stream {
				t.Errorf("the damaged entry is in the manifest")
			}
		})
	}
	if _, ok := FindVector("wrong-crc"); !ok || seen[""] {
		t.Errorf("FindVector(wrong-crc) = false")
	}
	if v, ok := FindVector("none"); ok {
		t.Errorf("FindVector(none) = %v", v)
	}
}

// read reads what can be read of a bundle. A bundle without end-of-archive is
// truncated; archive/tar alone does not tell.
func read(p []byte) (map[string][]byte, error) {
	found := map[string][]byte{}
	zr, err := gzip.NewReader(bytes.NewReader(p))
	if err != nil {
		return nil, err
	}
	var total, end count
	tr := tar.NewReader(io.TeeReader(zr, &total))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return found, err
		}
		if h.Size > 1<<28 {
			if _, err := io.Copy(io.Discard, tr); err != nil {
				return found, err
			}
		} else if found[path.Clean(h.Name)], err = io.ReadAll(tr); err != nil {
			return found, err
		}
		end = (total + 511) &^ 511
	}
	if _, err := io.Copy(&total, zr); err != nil { // what archive/tar left
		return found, err
	}
	if total < end+1024 {
		return found, io.ErrUnexpectedEOF
	}
	return found, nil
}

type count int64

func (c *count) Write(p []byte) (int, error) {
	*c += count(len(p))
	return len(p), nil
}
