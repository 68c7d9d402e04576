package bundle

import (
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// padded reads zstd frames that may be followed by zeros, with which tape
// writers pad their last record, as they do after gzip members.
type padded struct {
	z     *zstd.Decoder
	src   io.Reader
	zeros int // at the end of the bytes read from src
}

func newPadded(src io.Reader) (*padded, error) {
	p := &padded{src: src}
	var err error
	p.z, err = zstd.NewReader(readerFunc(p.compressed), zstd.WithDecoderMaxWindow(zstdWindow))
	return p, err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// compressed reads src for the decoder, which never reads too far.
func (p *padded) compressed(b []byte) (int, error) {
	n, err := p.src.Read(b)
	p.zeros = trailingZeros(p.zeros, b[:n])
	return n, err
}

// Read reads from the decoder. Zeros between the end of a frame and the end of
// src count as io.EOF.
func (p *padded) Read(b []byte) (int, error) {
	n, err := p.z.Read(b)
	if !errors.Is(err, zstd.ErrMagicMismatch) || p.zeros < 4 {
		return n, err
	}
	rest := make([]byte, 4096)
	for {
		m, end := p.src.Read(rest)
		switch {
		case !isZero(rest[:m]):
			return n, err
		case end != nil:
			return n, end
		}
	}
}

// trailingZeros counts the zeros that end b, after run of them before it.
func trailingZeros(run int, b []byte) int {
	for _, c := range b {
		if run++; c != 0 {
			run = 0
		}
	}
	return run
}
