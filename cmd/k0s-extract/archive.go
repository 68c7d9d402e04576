package main

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/pgzip"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/record"
)

// writer takes records.
type writer interface{ Write(record.Record) error }

// sink gives the sink for the k0s that is packed. For an archive that is a
// file without a name, since an archive says how large and what a file is
// before the file, and SHA256SUMS what k0s is.
func (p *packing) sink(plan bool) sink {
	if !p.archive() {
		return newHostSink(filepath.Join(p.to, "k0s"), plan, func() error { return nil })
	}
	s := &spool{hash: sha256.New()}
	if plan {
		return s
	}
	dir := os.TempDir()
	if p.to != "-" {
		dir = filepath.Dir(p.to)
	}
	s.f, s.err = hostfile.Unnamed(dir)
	return s
}

// spool holds the k0s that goes into an archive, in a file that nobody sees
// and that is gone when the program is.
type spool struct {
	f    *os.File // nil if nothing is to be written
	hash hash.Hash
	size int64
	err  error
}

func (s *spool) Write(p []byte) (int, error) {
	s.hash.Write(p)
	s.size += int64(len(p))
	if s.f != nil && s.err == nil {
		_, s.err = s.f.Write(p)
	}
	return len(p), nil
}

func (s *spool) failed() error { return s.err }

func (s *spool) drop() {
	if s.f != nil {
		s.f.Close()
	}
}

// packArchive writes a tar.gz, to its path or to stdout.
func (p *packing) packArchive(ctx context.Context, f found, stdout io.Writer, out writer, plan bool) error {
	s := f.sink.(*spool)
	if e, ok := errors.AsType[*fs.PathError](s.err); ok { // its path is a name that nobody knows
		return &fs.PathError{Op: "write", Path: p.to, Err: e.Err}
	}
	if s.err != nil {
		return s.err
	}
	r := f.file(p.to)
	if plan {
		r.Status = record.StatusPlanned
		return out.Write(r)
	}
	items, err := p.items(f, packed{s.f, s.size, [sha256.Size]byte(s.hash.Sum(nil))})
	if err != nil {
		return err
	}
	when, err := sourceDate()
	if err != nil {
		return err
	}
	top := "k0s-" + p.role + "-" + f.version.String() + "-" + f.platform.Architecture
	if p.to == "-" {
		return writeArchive(ctx, stdout, top, items, when)
	}
	mode := fs.FileMode(0o644)
	if p.private() {
		mode = 0o600
	}
	file, err := hostfile.Create(p.to, mode)
	if err != nil {
		return err
	}
	defer file.Abort()
	if err := writeArchive(ctx, file, top, items, when); err != nil {
		return err
	}
	done, err := file.Commit()
	done.Version, done.Platform, done.Source = r.Version, r.Platform, r.Source
	return errors.Join(err, out.Write(done))
}

// epoch is the time of files in an archive unless SOURCE_DATE_EPOCH sets
// another: the same content always makes the same archive.
const epoch = 315532800 // 1980-01-01, the oldest that every format can tell

func sourceDate() (time.Time, error) {
	text := cli.Env("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Unix(epoch, 0), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, cli.Misuse("SOURCE_DATE_EPOCH=%s is not a number of seconds", text)
	}
	return time.Unix(seconds, 0), nil
}

// writeArchive writes items below a directory, in their order.
func writeArchive(ctx context.Context, w io.Writer, top string, items []item, when time.Time) error {
	z := pgzip.NewWriter(w)
	t := tar.NewWriter(z)
	dirs := map[string]bool{}
	for _, i := range items {
		if err := writeItem(ctx, t, path.Join(top, i.name), i, when, dirs); err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func writeItem(ctx context.Context, t *tar.Writer, name string, i item, when time.Time, dirs map[string]bool) error {
	for at, c := range name {
		dir := name[:at+1]
		if c != '/' || dirs[dir] {
			continue
		}
		dirs[dir] = true
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: when, Uname: "root", Gname: "root"}); err != nil {
			return err
		}
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(i.mode), Size: int64(len(i.content)), ModTime: when, Uname: "root", Gname: "root"}
	content := io.Reader(strings.NewReader(string(i.content)))
	if i.program != nil {
		h.Size = i.program.size
		content = io.NewSectionReader(i.program, 0, i.program.size)
	}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	return copyFrom(ctx, t, content)
}

// packDir writes a directory. Files that are right already stay.
func (p *packing) packDir(f found, out writer, plan bool) error {
	s := f.sink.(*hostSink)
	about := f.file("")
	done, err := s.commit()
	done.Version, done.Platform, done.Source = about.Version, about.Platform, about.Source
	if err := errors.Join(err, out.Write(done)); err != nil {
		return err
	}
	items, err := p.items(f, packed{nil, s.size, [sha256.Size]byte(s.hash.Sum(nil))})
	if err != nil {
		return err
	}
	put := hostfile.Put
	if plan {
		put = hostfile.Plan
	}
	for _, i := range items[1:] {
		r, err := put(filepath.Join(p.to, filepath.FromSlash(i.name)), i.mode, i.content)
		if err := errors.Join(err, out.Write(r)); err != nil {
			return err
		}
	}
	if len(p.tokenText) > 0 || plan {
		return nil
	}
	// A token that an earlier run has packed would be taken.
	r, err := hostfile.Remove(filepath.Join(p.to, tokenName))
	if err == nil && r.Status == record.StatusUnchanged {
		return nil
	}
	return errors.Join(err, out.Write(r))
}
