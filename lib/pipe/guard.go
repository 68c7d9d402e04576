package pipe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// How long a Guard waits for a silent program, and how often it polls.
const (
	guardBegin  = 2 * time.Second
	guardSettle = 10 * time.Second
	guardLook   = 20 * time.Millisecond
	guardAgain  = 200 * time.Millisecond
)

// A Guard watches the stdin of a run that reads no records, for the verdict
// that `bundle-verify … | TOOL … BUNDLE` pipes in. A record ends the run: it is
// misuse or, if it says that a signature is bad, a failure.
//
// Records are found even after other text or pretty-printed.
//
// It consumes nothing from stdin, which may be a shell loop's, and never waits
// for a pipe that no program in the pipeline writes to, such as that of a
// command run by ssh. It waits a while for a silent program; one that will
// write records announces that in advance (record.Announced).
//
// The zero value and nil watch nothing.
type Guard struct {
	stdin  *os.File
	out    *record.Writer
	warn   func(format string, args ...any)
	remedy string

	mu      sync.Mutex
	over    bool // nothing relevant can arrive any more
	err     error
	foreign bool // stdin holds something other than records
	settled bool // Settle has waited
}

// NewGuard returns a guard of stdin. The record of a bad signature is copied to
// out, so that it also ends the tools later in the pipeline; remedy says how to
// make the tool read records.
func NewGuard(stdin io.Reader, out *record.Writer, warn func(format string, args ...any), remedy string) *Guard {
	f, ok := stdin.(*os.File)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) == 0 {
		return nil
	}
	return &Guard{stdin: f, out: out, warn: warn, remedy: remedy}
}

// GuardOperand returns the guard for a tool that reads records if no bundle is
// named.
func GuardOperand(operand string, stdin io.Reader, out *record.Writer, warn func(format string, args ...any)) *Guard {
	if operand == "" || operand == "-" {
		return nil
	}
	return NewGuard(stdin, out, warn, "leave out "+operand+" to read the bundle that the records name")
}

// Begin checks stdin and returns a context that ends when a record arrives,
// with the error as its cause.
func (g *Guard) Begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(nil) }
	if err := g.wait(ctx, guardBegin, 0, nil); err != nil {
		return ctx, stop, err
	}
	if g == nil {
		return ctx, stop, nil
	}
	go func() { // ends with the context, or when nothing can arrive any more
		for {
			over, err := g.look()
			if err != nil {
				cancel(err)
			}
			if over {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(guardAgain):
			}
		}
	}()
	return ctx, stop, nil
}

// Settle checks again, before something is published or installed. The first
// time, it waits a while for a program that may still write, and less long if
// that has written other text, which a verdict may follow.
func (g *Guard) Settle(ctx context.Context) error {
	if g == nil {
		return nil
	}
	most := guardSettle
	if g.settled {
		most = 0
	}
	g.settled = true
	return g.wait(ctx, most, guardBegin, func() {
		g.warn("waiting up to %v for the program that writes to stdin; use %s if it writes no records", guardSettle, noInput)
	})
}

// Open reports whether a program may still write a verdict. The error is that
// of a record that has arrived.
func (g *Guard) Open() (bool, error) {
	if g == nil {
		return false, nil
	}
	may := g.waitable()
	over, err := g.look() // afterwards, since a program may have written before it exited
	return !over && may, err
}

// wait polls until nothing more can arrive or, if a program may still write, most
// has passed, or foreign if stdin holds something other than records. It calls
// notice once if that takes more than a moment.
func (g *Guard) wait(ctx context.Context, most, foreign time.Duration, notice func()) error {
	if g == nil {
		return nil
	}
	start, noticed := time.Now(), false
	for {
		over, err := g.look()
		if over || err != nil {
			return err
		}
		passed := time.Since(start)
		if passed >= most || passed >= foreign && g.notOurs() {
			return nil
		}
		if passed < guardLook && !g.waitable() {
			_, err := g.look() // again, since a program may have written before it exited
			return err
		}
		if notice != nil && !noticed && passed > time.Second {
			notice()
			noticed = true
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(guardLook):
		}
	}
}

// waitable reports whether stdin is a pipe that another program in the pipeline
// writes to.
func (g *Guard) waitable() bool {
	info, err := g.stdin.Stat()
	return err == nil && info.Mode()&fs.ModeNamedPipe != 0 && fed(g.stdin)
}

// notOurs reports whether stdin holds something other than records.
func (g *Guard) notOurs() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.foreign
}

// look reports whether nothing relevant can arrive any more, with an error if
// that is because a record has arrived.
func (g *Guard) look() (over bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return true, g.err
	}
	g.over, g.err = g.verdict(peek(g.stdin))
	return g.over, g.err
}

// verdict is look for what peek has returned.
func (g *Guard) verdict(data []byte, ended bool, err error) (over bool, _ error) {
	switch {
	case errors.Is(err, errors.ErrUnsupported): // a verdict would be missed
		return true, g.unseen()
	case err != nil:
		return true, nil // a stdin that cannot be examined carries no verdict
	}
	found := find(data, ended)
	switch {
	case found.bad != nil:
		return true, errors.Join(found.err, g.out.Pass(*found.bad))
	case found.any || record.Announced(g.stdin):
		return true, g.unread()
	}
	// Other text is not for this program. Records may still follow it.
	g.foreign = len(bytes.TrimSpace(data)) > 0 && !found.begun
	return ended, nil
}

func (g *Guard) unread() error {
	return cli.Hint(cli.Misuse("records are piped in, but this run does not read stdin"),
		"%s; add %s if the records are not meant for this program", g.remedy, noInput)
}

func (g *Guard) unseen() error {
	return cli.Hint(cli.Misuse("stdin is a pipe, and on this system a run that does not read it cannot check it for records"),
		"%s; add %s if no records are piped in", g.remedy, noInput)
}
