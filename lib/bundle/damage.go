package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"

	"k0rdent-airgap/lib/gunzip"
)

// damage classifies an error of the readers below: a system error, missing
// bytes, or wrong bytes. Damage is final: the read-ahead is stopped, so that
// the offset no longer changes.
func (b *Bundle) damage(err error, entry string) error {
	if b.broken != nil {
		return b.broken
	}
	if wrong := b.reported(err); wrong != nil {
		b.endStream(err)
		b.broken = &DamageError{Kind: ErrPart, Offset: b.Offset(), Entry: entry, Part: wrong.Part, Err: wrong}
		return b.broken
	}
	if _, isPath := errors.AsType[*os.PathError](err); isPath || b.pump != nil && b.pump.failure.Load() {
		return err
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return formatError("zstd requires a window of more than %d MiB; compress it without --long", zstdWindow>>20)
	}
	offset := b.stopAhead(err)
	d := &DamageError{Kind: ErrCorrupt, Offset: offset, Entry: entry, Err: err}
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
	if b.parts != nil {
		if !errors.Is(err, gunzip.ErrChecksum) { // of all that was read, not of a place
			d.Part = b.parts.Part(d.Offset)
		}
		if wrong := b.wrongPart(d.Offset); wrong != nil {
			d.Kind, d.Err = ErrPart, wrong
		}
		b.endStream(err)
	}
	return b.broken
}

// reported returns the PartError that err is or, where the reader above has found
// damage of its own in the same part, that of the source; nil if there is none.
func (b *Bundle) reported(err error) *PartError {
	if wrong, ok := errors.AsType[*PartError](err); ok {
		return wrong
	}
	if b.parts == nil {
		return nil
	}
	return b.pump.wrong.Load()
}

// stopAhead ends the read-ahead, so that the offset no longer changes, and
// returns the offset. The source of a series remains usable.
func (b *Bundle) stopAhead(cause error) int64 {
	if b.parts == nil {
		b.endStream(cause)
	} else if b.free != nil {
		b.free()
		b.free = nil
	}
	return b.Offset()
}

// wrongPart reads the rest of a damaged part, if a checksum of it is known, and
// returns the error that names it, or nil.
func (b *Bundle) wrongPart(offset int64) error {
	p := b.parts
	if len(p.series.sums) == 0 {
		return nil
	}
	index := int64(p.indexOf(offset))
	block := make([]byte, 32<<10)
	for p.done.Load() <= index {
		if _, err := b.pump.Read(block); err != nil {
			if errors.Is(err, ErrPart) || b.pump.failure.Load() {
				return err
			}
			return nil
		}
	}
	return nil
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
