package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// damage classifies an error of the readers below: a system error, missing
// bytes, or wrong bytes. Damage is final: the read-ahead is stopped, so that
// the offset no longer changes.
func (b *Bundle) damage(err error, entry string) error {
	if b.broken != nil {
		return b.broken
	}
	if _, isPath := errors.AsType[*os.PathError](err); isPath || b.pump != nil && b.pump.failure.Load() {
		return err
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return formatError("zstd requires a window of more than %d MiB; compress it without --long", zstdWindow>>20)
	}
	b.endStream(err)
	d := &DamageError{Kind: ErrCorrupt, Offset: b.Offset(), Entry: entry, Err: err}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		d.Kind = ErrTruncated
	}
	switch {
	case b.pump != nil:
		d.Offset -= int64(b.buffer.Buffered())
	case d.Kind == ErrTruncated:
		d.Offset = b.Size // found before the walk reached it
	}
	b.broken = d
	return d
}

// endStream ends the goroutines between source and tar.
func (b *Bundle) endStream(cause error) {
	if b.pump != nil {
		b.pump.stop(cause)
	}
	if b.free != nil {
		b.free()
		b.free = nil
	}
}

var errNoEnd = fmt.Errorf("no end-of-archive marker: %w", io.ErrUnexpectedEOF)

// isZero reports whether b holds nothing but zeros.
func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
