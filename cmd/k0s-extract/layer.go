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

// inImage is where the image k0sproject/k0s holds k0s: its Dockerfile adds it
// there in a layer of its own.
const inImage = "usr/local/bin/k0s"

const (
	// maxProgram is the largest k0s that is taken; those of today are some
	// 250 MB.
	maxProgram = 1 << 30
	// maxInflated bounds what the layers of one archive may come to, so that a
	// few bytes which inflate for ever end within a minute.
	maxInflated = 8 << 30
	// zstdWindow is the largest window that a layer may ask for.
	zstdWindow = 64 << 20
)

// Prefixes of names in a layer by which it takes away what layers below it
// have (image-spec, layer.md, "Whiteouts").
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// layer is what one layer does to inImage.
type layer struct {
	program *program // the layer holds it
	hides   bool     // it takes away what layers below have
	refused error    // why the image cannot be used if this layer counts
}

// A program is k0s in a layer.
type program struct {
	machine elf.Machine
	size    int64
	sink    sink // where its bytes went; nil if nobody wanted those of this machine
}

// A taker gives the sink for a program of a machine, or nil.
type taker func(machine elf.Machine) (sink, error)

// A scanner reads layers.
type scanner struct {
	take taker
	left int64 // bytes that may still be inflated
}

func newScanner(take taker) *scanner { return &scanner{take: take, left: maxInflated} }

// scan reads one layer to its end. What is wrong with it stands in the result,
// since it matters only if the image turns out to be made of it. Nothing is
// unpacked: only the bytes of inImage go anywhere, and they go to a sink.
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

// errUnwanted ends the reading of a layer that holds k0s for another machine:
// whatever else is in it, the image cannot be used.
var errUnwanted = errors.New("for another machine")

var errInflated = fmt.Errorf("its layers inflate to more than %d GiB", maxInflated>>30)

// inflate undoes a layer's compression, which is told by content: the media
// type is another's word. end frees what that takes.
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

// budget ends a reader when what all readers of an archive may give is spent.
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

// walk goes through a layer's tar, and on to the end of what it is packed in.
func (s *scanner) walk(in io.Reader, l *layer) error {
	t := tar.NewReader(in)
	for {
		h, err := t.Next()
		if err == io.EOF {
			_, err := io.Copy(io.Discard, in) // there a checksum stands
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
			return fmt.Errorf("hostile name %.80q", h.Name)
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
		return fmt.Errorf("%s is %s, so %s lies elsewhere", name, kind(h), inImage)
	}
	return nil
}

// above reports whether a directory has inImage below it.
func above(dir string) bool { return dir == "" || strings.HasPrefix(inImage, dir+"/") }

// program passes k0s on.
func (s *scanner) program(t *tar.Reader, h *tar.Header, l *layer) error {
	switch {
	case l.program != nil:
		return fmt.Errorf("%s occurs twice", inImage)
	case h.Typeflag != tar.TypeReg || len(h.PAXRecords["GNU.sparse.major"]) > 0 || len(h.PAXRecords["GNU.sparse.map"]) > 0:
		return fmt.Errorf("%s is %s, not a plain file", inImage, kind(h))
	case h.Size > maxProgram:
		return fmt.Errorf("%s is %d bytes, more than %d", inImage, h.Size, maxProgram)
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
	_, err = io.CopyBuffer(onlyWriter{p.sink}, io.MultiReader(bytes.NewReader(head), t), make([]byte, 256<<10))
	return err
}

// onlyWriter keeps io.Copy to the buffer that it was given.
type onlyWriter struct{ io.Writer }

// kind says what an entry of a tar is.
func kind(h *tar.Header) string {
	switch h.Typeflag {
	case tar.TypeReg:
		return "a file with holes"
	case tar.TypeLink:
		return fmt.Sprintf("a hard link to %.80q", h.Linkname)
	case tar.TypeSymlink:
		return fmt.Sprintf("a symbolic link to %.80q", h.Linkname)
	case tar.TypeDir:
		return "a directory"
	case tar.TypeGNUSparse:
		return "a file with holes"
	}
	return "a device or a pipe"
}

// errNoProgram says that an image is not that of k0s.
var errNoProgram = errors.New("no " + inImage + " in it")

// find looks for k0s in an image, from its topmost layer down, as its files
// are seen in a container. It asks for no more layers than it needs.
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
			return nil, fmt.Errorf("%w: layer %d of %d takes it away", errNoProgram, i+1, layers)
		}
	}
	return nil, errNoProgram
}
