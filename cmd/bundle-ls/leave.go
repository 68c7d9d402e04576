package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/pipe"
)

// errAccepted ends the listing of a bundle whose reader accepts the rest.
var errAccepted = errors.New("the reader lists the rest")

// lookAgain is the interval between checks for the reader's mark. The reader
// may start later than this program.
const lookAgain = 10 * time.Millisecond

// untilAccepted returns a context that ends with errAccepted once the reader of
// the records accepts the rest of the bundle.
func (l *lister) untilAccepted(ctx context.Context, want pipe.Bundle, b *bundle.Bundle) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(nil) }
	if !l.leaves || !costly(want, b) {
		return ctx, stop
	}
	if l.out.RestAccepted() {
		cancel(errAccepted)
		return ctx, stop
	}
	go func() { // ends with the context
		t := time.NewTicker(lookAgain)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			if l.out.RestAccepted() {
				cancel(errAccepted)
			}
		}
	}()
	return ctx, stop
}

// costly reports whether a bundle is a file that another program can open by
// the same name, and that must be read completely to list it.
func costly(want pipe.Bundle, b *bundle.Bundle) bool {
	if want.Parts() > 0 {
		return true
	}
	if b.Format == bundle.FormatDir || b.Format == bundle.FormatTar && want.Digest == "" {
		return false
	}
	if !filepath.IsAbs(want.Path) || strings.HasPrefix(want.Path, "/dev/fd/") || strings.HasPrefix(want.Path, "/dev/std") || strings.HasPrefix(want.Path, "/proc/") {
		return false
	}
	info, err := os.Stat(want.Path)
	return err == nil && info.Mode().IsRegular()
}
