package gunzip

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"sync"
)

var (
	// ErrHeader means that the input, or what follows a member, is not
	// gzip.
	ErrHeader = errors.New("gzip: invalid header")
	// ErrChecksum means that a member does not inflate to what was
	// compressed.
	ErrChecksum = errors.New("gzip: invalid checksum")
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
	if err := readHeader(src); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	z := &Reader{
		full:    make(chan result, n),
		free:    make(chan []byte, n),
		stopped: make(chan struct{}),
		ended:   make(chan struct{}),
	}
	for range n {
		z.free <- make([]byte, window+size+slack)
	}
	go z.run(src)
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

func (z *Reader) run(src *bufio.Reader) {
	defer close(z.ended)
	defer close(z.full)
	f := &inflater{src: src}
	var crc, size uint32
	for begins := true; ; {
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
	return readHeader(f.src)
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

// Flags of a header, RFC 1952, 2.3.1.
const (
	flagCRC     = 1 << 1
	flagExtra   = 1 << 2
	flagName    = 1 << 3
	flagComment = 1 << 4
)

// magic is what a member starts with: its two bytes, and deflate.
const magic = "\x1f\x8b\x08"

// maxText bounds a header's name and comment, in bytes.
const maxText = 64 << 10

// readHeader reads a member's header, RFC 1952, 2.3. It returns io.EOF if there
// is no first byte.
func readHeader(src *bufio.Reader) error {
	h := &header{src: src}
	if _, err := src.Peek(1); err != nil {
		return err
	}
	// Bytes that cannot begin a member are foreign data, not a truncated member.
	if start, _ := src.Peek(len(magic)); !strings.HasPrefix(magic, string(start)) {
		return ErrHeader
	}
	fixed := h.bytes(10)
	if h.err != nil {
		return h.err
	}
	flags := fixed[3]
	if flags&flagExtra != 0 {
		h.bytes(int(binary.LittleEndian.Uint16(h.bytes(2))))
	}
	for _, flag := range []byte{flagName, flagComment} {
		if flags&flag != 0 {
			h.text()
		}
	}
	if flags&flagCRC != 0 {
		crc := uint16(h.crc)
		if got := binary.LittleEndian.Uint16(h.bytes(2)); h.err == nil && got != crc {
			return ErrHeader
		}
	}
	return h.err
}

// header reads parts of a header until one fails.
type header struct {
	src *bufio.Reader
	crc uint32
	err error
}

// bytes returns n bytes, which are zero after an error.
func (h *header) bytes(n int) []byte {
	b := make([]byte, n)
	if h.err != nil {
		return b
	}
	if _, err := io.ReadFull(h.src, b); err != nil {
		h.err = unexpected(err)
		return make([]byte, n)
	}
	h.crc = crc32.Update(h.crc, crc32.IEEETable, b)
	return b
}

func (h *header) text() {
	for n := 0; h.err == nil; n++ {
		switch {
		case n == maxText:
			h.err = ErrHeader
		case h.bytes(1)[0] == 0:
			return
		}
	}
}
