package bundle

import (
	"context"
	"errors"
	"io"
)

// Drain ends the walk and reads what is left of a bundle that was opened
// WithDigest, without unpacking it, so that Digest covers the whole file.
func (b *Bundle) Drain(ctx context.Context) error {
	if b.hash == nil || b.whole {
		return nil
	}
	if b.source == nil || b.broken != nil {
		return errors.New("bundle: nothing to drain")
	}
	b.endInflating()
	defer b.until(ctx)()
	b.used = true
	for {
		switch _, err := b.source.Next(); err {
		case nil:
		case io.EOF:
			b.whole = true
			return nil
		default:
			return err
		}
	}
}
