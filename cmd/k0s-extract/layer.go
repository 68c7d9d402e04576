package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"debug/elf"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// inImage is the path of k0s in the image k0sproject/k0s. Its Dockerfile adds it
// in a layer of its own.
const inImage = "usr/local/bin/k0s"

const (
	// maxProgram is the largest k0s that is accepted; current releases are about
	// 250 MB.
	maxProgram = 1 << 30
	// maxInflated limits the uncompressed size of an archive's layers, so that a
	// decompression bomb ends within a minute.
	maxInflated = 8 << 30
	// zstdWindow is the largest window that a layer may use.
	zstdWindow = 64 << 20
)

// Prefixes of names by which a layer removes files of lower layers (image-spec,
// layer.md, "Whiteouts").
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// A layer is the effect of one layer on inImage.
type layer struct {
	program *program // k0s, if the layer contains it
	hides   bool     // it removes k0s of lower layers
	refused error    // why the image cannot be used if this layer counts
}

// A program is k0s in a layer.
type program struct {
	machine elf.Machine
	size    int64
	sink    *sink // where its bytes went; nil if its machine was not requested
}

// drop discards the layer's k0s.
func (l layer) drop() {
	if l.program != nil && l.program.sink != nil {
		l.program.sink.drop()
	}
}

// A scanner reads layers.
type scanner struct {
	take func(machine elf.Machine) (*sink, error) // returns the sink for a program built for a machine, or nil
	left int64                                    // bytes that may still be decompressed
}

func newScanner(take func(elf.Machine) (*sink, error)) *scanner {
	return &scanner{take: take, left: maxInflated}
}

// scan reads one layer to its end. Problems are part of the result, since they
// matter only if the image uses the layer. Nothing is unpacked: only the bytes
// of inImage are written, to a sink.
func (s *scanner) scan(r io.Reader) layer {
	var l layer
	in, end, err := s.inflate(r)
	if err == nil {
		err = s.walk(in, &l)
		end()
	}
	if err != nil && err != errUnwanted {
		l.refused = err
	}
	return l
}

// errUnwanted ends the reading of a layer with k0s for another machine: whatever
// else the layer contains, the image cannot be used.
var errUnwanted = errors.New("built for another machine")

var errInflated = fmt.Errorf("more than %d GiB when decompressed", maxInflated>>30)

// inflate decompresses a layer. It detects the compression from the content,
// since the media type may be wrong. end frees the decompressor.
func (s *scanner) inflate(r io.Reader) (in io.Reader, end func(), err error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	in, end = b, func() {}
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil, err
		}
		in, end = z, func() { z.Close() }
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, nil, err
		}
		in, end = z, z.Close
	}
	return &budget{in, &s.left}, end, nil
}

// A budget ends a reader when all readers of an archive together reach a limit.
type budget struct {
	r    io.Reader
	left *int64
}

func (b *budget) Read(p []byte) (int, error) {
	if *b.left <= 0 {
		return 0, errInflated
	}
	n, err := b.r.Read(p[:min(int64(len(p)), *b.left)])
	*b.left -= int64(n)
	return n, err
}

// walk reads a layer's tar, and its compressed stream to the end.
func (s *scanner) walk(in io.Reader, l *layer) error {
	t := tar.NewReader(in)
	for {
		h, err := t.Next()
		if err == io.EOF {
			_, err := io.Copy(io.Discard, in) // reads the checksum at the end
			return err
		}
		if err != nil {
			return err
		}
		if err := s.entry(t, h, l); err != nil {
			return err
		}
	}
}

func (s *scanner) entry(t *tar.Reader, h *tar.Header, l *layer) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	for part := range strings.SplitSeq(h.Name, "/") {
		if part == ".." {
			return fmt.Errorf("unsafe name %.80q", h.Name)
		}
	}
	name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
	dir, base := path.Split(name)
	switch hidden, isWhiteout := strings.CutPrefix(base, whiteout); {
	case base == opaque:
		l.hides = l.hides || above(strings.TrimSuffix(dir, "/"))
	case isWhiteout:
		l.hides = l.hides || dir+hidden == inImage || above(dir+hidden)
	case name == inImage:
		return s.program(t, h, l)
	case above(name) && h.Typeflag != tar.TypeDir:
		return fmt.Errorf("%s is %s, not a directory", name, kind(h))
	}
	return nil
}

// above reports whether inImage lies below a directory.
func above(dir string) bool { return dir == "" || strings.HasPrefix(inImage, dir+"/") }

// program copies k0s to its sink.
func (s *scanner) program(t *tar.Reader, h *tar.Header, l *layer) error {
	switch {
	case l.program != nil:
		return fmt.Errorf("duplicate entry %s", inImage)
	case h.Typeflag != tar.TypeReg || len(h.PAXRecords["GNU.sparse.major"]) > 0 || len(h.PAXRecords["GNU.sparse.map"]) > 0:
		return fmt.Errorf("%s is %s, not a plain file", inImage, kind(h))
	case h.Size > maxProgram:
		return fmt.Errorf("%s has %d bytes, more than the limit of %d", inImage, h.Size, maxProgram)
	}
	head := make([]byte, min(h.Size, elfHead))
	if _, err := io.ReadFull(t, head); err != nil {
		return err
	}
	machine, err := machineOf(head)
	if err != nil {
		return fmt.Errorf("%s: %w", inImage, err)
	}
	p := &program{machine: machine, size: h.Size}
	if p.sink, err = s.take(machine); err != nil {
		return err
	}
	l.program = p
	if p.sink == nil {
		return errUnwanted
	}
	p.sink.Write(head)
	_, err = io.CopyBuffer(p.sink, t, make([]byte, 256<<10))
	return err
}

// kind describes the type of a tar entry.
func kind(h *tar.Header) string {
	switch h.Typeflag {
	case tar.TypeReg:
		return "a sparse file"
	case tar.TypeLink:
		return fmt.Sprintf("a hard link to %.80q", h.Linkname)
	case tar.TypeSymlink:
		return fmt.Sprintf("a symbolic link to %.80q", h.Linkname)
	case tar.TypeDir:
		return "a directory"
	case tar.TypeGNUSparse:
		return "a sparse file"
	}
	return "a device or a pipe"
}

// errNoProgram reports that an image does not contain k0s.
var errNoProgram = errors.New("image does not contain " + inImage)

// find searches an image for k0s from the topmost layer down, applying
// whiteouts as a container runtime does. It reads no more layers than needed.
func find(layers int, at func(i int) (layer, error)) (*program, error) {
	for i := layers - 1; i >= 0; i-- {
		l, err := at(i)
		switch {
		case err != nil:
			return nil, err
		case l.refused != nil:
			return nil, fmt.Errorf("layer %d of %d: %w", i+1, layers, l.refused)
		case l.program != nil:
			return l.program, nil
		case l.hides:
			return nil, fmt.Errorf("%w: layer %d of %d removes it", errNoProgram, i+1, layers)
		}
	}
	return nil, errNoProgram
}
