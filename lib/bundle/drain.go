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
	if b.pump == nil || b.broken != nil {
		return errors.New("bundle: nothing to drain")
	}
	if b.free != nil { // until they have ended, the goroutines between file and tar read as well
		b.free()
		b.free = nil
	}
	stop := context.AfterFunc(ctx, func() { b.pump.stop(context.Cause(ctx)) })
	defer stop()
	b.used = true
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{b.pump}); err != nil {
		return err
	}
	b.whole = true
	return nil
}
