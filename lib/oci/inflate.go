package oci

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"k0rdent-airgap/lib/gunzip"
	"k0rdent-airgap/lib/magic"
)

const (
	// gzipBlock and gzipBlocks determine how far an archive is inflated
	// ahead.
	gzipBlock  = 64 << 10
	gzipBlocks = 8
	// zstdWindow is the largest window that an archive may require. zstd's
	// own levels require 8 MiB or less without --ultra.
	zstdWindow = 32 << 20
	// An archive may inflate to freeInflated bytes, and beyond that to
	// maxRatio times its size: layers are compressed already, so only a
	// decompression bomb comes near it.
	freeInflated = 1 << 30
	maxRatio     = 100
)

// Packed reports whether an archive is compressed, and must therefore be read
// to its end.
func Packed(at io.ReaderAt, size int64) (bool, error) {
	head := make([]byte, min(size, sniffLen))
	if _, err := at.ReadAt(head, 0); err != nil && err != io.EOF {
		return false, err
	}
	p := magic.Of(head)
	return p == magic.Gzip || p == magic.Zstd, nil
}

// content is the tar of a streamed archive.
type content struct {
	io.Reader
	packed string // how it was compressed; "" if it was not
	close  func()

	source *counter
	given  int64
}

// counter reads the compressed content, counts its bytes and records the error
// of the reader below, which concerns the bundle and not the archive.
type counter struct {
	r    io.Reader
	read atomic.Int64
	err  error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read.Add(int64(n))
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// inflate returns the tar in r, or ErrNotArchive if it is not one. Its close
// must be called before r is used again.
func inflate(r io.Reader) (*content, error) {
	head, r, err := peek(r)
	if err != nil {
		return nil, err
	}
	c := &content{Reader: r, packed: magic.Of(head).Name, close: func() {}}
	switch magic.Of(head) {
	case magic.Gzip:
		c.source = &counter{r: r}
		z, err := gunzip.NewReader(bufio.NewReader(c.source), gzipBlock, gzipBlocks)
		if err != nil {
			return nil, c.fault(err)
		}
		c.Reader, c.close = &inflated{c, z}, func() { z.Close() }
	case magic.Zstd:
		c.source = &counter{r: r}
		z, err := zstd.NewReader(c.source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, c.fault(err)
		}
		c.Reader, c.close = &inflated{c, z}, z.Close
	default:
		return c, sniff(head)
	}
	head, c.Reader, err = peek(c.Reader)
	if reason := whyNot(head); err == nil && reason != "" {
		err = &packedError{notArchive("inside %s: %s", c.packed, reason), magic.Of(head)}
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// peek returns the first sniffLen bytes of r, or all of them, and a reader of
// the same bytes.
func peek(r io.Reader) ([]byte, io.Reader, error) {
	head := make([]byte, sniffLen)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, nil, err
	}
	return head[:n], io.MultiReader(bytes.NewReader(head[:n]), r), nil
}

// inflated bounds the inflated size and classifies errors.
type inflated struct {
	content *content
	r       io.Reader
}

func (i *inflated) Read(p []byte) (int, error) {
	c := i.content
	n, err := i.r.Read(p)
	if c.given += int64(n); c.given > freeInflated && c.given-freeInflated > maxRatio*c.source.read.Load() {
		return 0, invalid("inflates to more than %d times its size", maxRatio)
	}
	if err != nil && err != io.EOF {
		err = c.fault(err)
	}
	return n, err
}

// fault distinguishes a damaged archive from a read error of its source.
func (c *content) fault(err error) error {
	switch {
	case c.source.err != nil:
		return c.source.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: its %s stream ends too early", ErrTruncated, c.packed)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return invalid("zstd requires a window of more than %d MiB", zstdWindow>>20)
	}
	return invalid("%s: %v", c.packed, err)
}
