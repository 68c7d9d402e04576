package gunzip

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"io"
	"strings"
	"sync"
)

var (
	// ErrHeader means that the input, or what follows a member, is not
	// gzip.
	ErrHeader = gzip.ErrHeader
	// ErrChecksum means that a member does not inflate to what was
	// compressed.
	ErrChecksum = gzip.ErrChecksum
)

// Reader reads the inflated bytes. It must be used by one goroutine at a time.
type Reader struct {
	full chan result
	free chan []byte

	block []byte // that rest is part of
	rest  []byte
	err   error

	once    sync.Once
	stopped chan struct{}
	ended   chan struct{}
}

// result is a block of inflated bytes, from window to end, and the error that
// follows them.
type result struct {
	block []byte
	end   int
	err   error
}

// NewReader reads the first member's header from src, and then inflates up to n
// blocks of size bytes ahead. Until Close has returned, src belongs to the
// Reader; afterwards src starts at the first byte that was not needed.
func NewReader(src *bufio.Reader, size, n int) (*Reader, error) {
	f := &inflater{src: src}
	if err := f.readHeader(); err != nil {
		return nil, unexpected(err)
	}
	z := &Reader{
		full:    make(chan result, n),
		free:    make(chan []byte, n),
		stopped: make(chan struct{}),
		ended:   make(chan struct{}),
	}
	go z.run(f, size)
	return z, nil
}

// Read implements io.Reader. It returns io.EOF at the end of the input, and
// io.ErrUnexpectedEOF if the input ends inside a member.
func (z *Reader) Read(p []byte) (int, error) {
	for len(z.rest) == 0 {
		if z.block != nil {
			z.free <- z.block
			z.block = nil
		}
		if z.err != nil {
			return 0, z.err
		}
		r, ok := <-z.full
		if !ok {
			z.err = io.ErrClosedPipe
			continue
		}
		z.block, z.rest, z.err = r.block, r.block[window:r.end], r.err
	}
	n := copy(p, z.rest)
	z.rest = z.rest[n:]
	return n, nil
}

// Close ends the goroutine. It waits for a Read of src that is under way.
func (z *Reader) Close() error {
	z.once.Do(func() { close(z.stopped) })
	<-z.ended
	return nil
}

func (z *Reader) run(f *inflater, blockSize int) {
	defer close(z.ended)
	defer close(z.full)
	var crc, size uint32
	for begins, blocks := true, 0; ; {
		if len(z.free) == 0 && blocks < cap(z.free) { // a small input needs few
			z.free <- make([]byte, window+blockSize+slack)
			blocks++
		}
		block, ok := z.next()
		if !ok {
			return
		}
		f.begin(block, begins)
		err := f.fill()
		crc = crc32.Update(crc, crc32.IEEETable, block[window:f.op])
		size += uint32(f.op - window)
		if begins = err == io.EOF; begins {
			err = f.nextMember(crc, size)
			crc, size = 0, 0
		}
		z.full <- result{block, f.op, err} // never waits: there are no more blocks than places
		if err != nil {
			return
		}
	}
}

// next returns a block to fill, unless the Reader is closed.
func (z *Reader) next() ([]byte, bool) {
	select {
	case <-z.stopped:
		return nil, false
	default:
	}
	select {
	case block := <-z.free:
		return block, true
	case <-z.stopped:
		return nil, false
	}
}

// nextMember compares a member's trailer with what was inflated, and reads the
// header of the next member. After the last one it returns io.EOF, even if
// zeros follow: tape writers, and bsdtar writing to a pipe, pad their last
// record with them.
func (f *inflater) nextMember(crc, size uint32) error {
	var trailer [8]byte
	if _, err := io.ReadFull(f.src, trailer[:]); err != nil {
		return unexpected(err)
	}
	if binary.LittleEndian.Uint32(trailer[:]) != crc || binary.LittleEndian.Uint32(trailer[4:]) != size {
		return ErrChecksum
	}
	if next, err := f.src.Peek(1); err == nil && next[0] == 0 {
		return padding(f.src)
	}
	return f.readHeader()
}

// padding reads zeros up to the end of the input and returns io.EOF, or
// ErrHeader if anything else is among them.
func padding(src *bufio.Reader) error {
	for {
		if _, err := src.Peek(1); err != nil {
			return err
		}
		buffered, _ := src.Peek(src.Buffered())
		if len(bytes.TrimLeft(buffered, "\x00")) > 0 {
			return ErrHeader
		}
		src.Discard(len(buffered))
	}
}

// unexpected turns io.EOF into io.ErrUnexpectedEOF.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// magic is what a member starts with: its two bytes, and deflate.
const magic = "\x1f\x8b\x08"

// readHeader reads a member's header, RFC 1952, 2.3. It returns io.EOF if there
// is no first byte.
func (f *inflater) readHeader() error {
	start, err := f.src.Peek(len(magic))
	switch {
	case len(start) == 0:
		return err
	case !strings.HasPrefix(magic, string(start)): // not a truncated member, but something else
		return ErrHeader
	}
	return f.header.Reset(f.src)
}
