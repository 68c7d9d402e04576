package bundle

import (
	"bytes"
	"context"
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
	var failure error // of the source
	if b.source != nil {
		failure = b.source.Err()
	}
	wrong, ok := errors.AsType[*PartError](err)
	if !ok { // the reader above may have found damage of its own in the same part
		wrong, ok = errors.AsType[*PartError](failure)
	}
	if ok {
		b.endStream(err)
		b.broken = &DamageError{Kind: ErrPart, Offset: b.Offset(), Entry: entry, Part: wrong.Part, Err: wrong}
		return b.broken
	}
	if _, isPath := errors.AsType[*os.PathError](err); isPath || failure != nil {
		return err
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return formatError("zstd requires a window of more than %d MiB; compress it without --long", zstdWindow>>20)
	}
	if b.parts == nil { // the source of a series remains usable
		b.endStream(err)
	}
	b.endInflating()
	d := &DamageError{Kind: ErrCorrupt, Offset: b.Offset(), Entry: entry, Err: err}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		d.Kind = ErrTruncated
	}
	switch {
	case b.source != nil:
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

// wrongPart reads the rest of a damaged part, if a checksum of it is known, and
// returns the error that names it, or nil.
func (b *Bundle) wrongPart(offset int64) error {
	p := b.parts
	if len(p.series.sums) == 0 {
		return nil
	}
	index := int64(p.indexOf(offset))
	for p.done.Load() <= index {
		if _, err := b.source.Next(); err != nil {
			return b.source.Err()
		}
	}
	return nil
}

// until stops the source when ctx is done, unless the function that it returns
// has been called by then.
func (b *Bundle) until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { b.source.Stop(context.Cause(ctx)) })
}

// endStream ends the goroutines between source and tar.
func (b *Bundle) endStream(cause error) {
	if b.source != nil {
		b.source.Stop(cause)
	}
	b.endInflating()
}

// endInflating ends those above the source. Until then, they read it as well.
func (b *Bundle) endInflating() {
	if b.free != nil {
		b.free()
		b.free = nil
	}
}

var errNoEnd = fmt.Errorf("no end-of-archive marker: %w", io.ErrUnexpectedEOF)

// isZero reports whether b holds nothing but zeros.
func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
