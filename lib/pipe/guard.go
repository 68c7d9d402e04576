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

// How long a Guard waits for a silent program, and how often it looks.
const (
	guardBegin  = 2 * time.Second
	guardSettle = 10 * time.Second
	guardLook   = 20 * time.Millisecond
	guardAgain  = 200 * time.Millisecond
)

// A Guard watches the stdin of a run that reads no records, for the verdict that
// `bundle-verify … | TOOL … BUNDLE` pipes in. A record ends the run: it is a
// misuse or, where it says that a signature is bad, a failure.
//
// Records are also found behind other text, and pretty-printed.
//
// It takes nothing away from stdin, which may be that of a shell's loop, and
// never waits for a pipe that nobody beside this program writes to, such as that
// of a command which ssh runs. A program that does, and is silent, is waited for
// a while; one that will write records is known before it does (record.Announced).
//
// The zero value, and nil, watch nothing.
type Guard struct {
	stdin  *os.File
	out    *record.Writer
	warn   func(format string, args ...any)
	remedy string

	mu      sync.Mutex
	over    bool // nothing that concerns us can come any more
	err     error
	foreign bool // what has come is no record
	settled bool // Settle has waited
}

// NewGuard returns a guard of stdin. The record of a bad signature is copied to
// out, so that it ends the tools behind this one as well; remedy says how to have
// records read.
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

// GuardOperand returns the guard of a tool that reads records if no bundle is
// named.
func GuardOperand(operand string, stdin io.Reader, out *record.Writer, warn func(format string, args ...any)) *Guard {
	if operand == "" || operand == "-" {
		return nil
	}
	return NewGuard(stdin, out, warn, "leave "+operand+" out, and the bundle that the records name is read")
}

// Begin looks at stdin and returns a context that ends when a record comes, with
// what is wrong as its cause.
func (g *Guard) Begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(nil) }
	if err := g.wait(ctx, guardBegin, g.notOurs, nil); err != nil {
		return ctx, stop, err
	}
	if g == nil {
		return ctx, stop, nil
	}
	go func() { // ends with the context, or when nothing can come any more
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

// Settle looks again, before something is published or put in place. The first
// time, a program that may still write is waited for a while; one that has written
// other text, which a verdict may follow, not as long.
func (g *Guard) Settle(ctx context.Context) error {
	if g == nil {
		return nil
	}
	most := guardSettle
	if g.settled {
		most = 0
	}
	g.settled = true
	start := time.Now()
	enough := func() bool { return g.notOurs() && time.Since(start) > guardBegin }
	return g.wait(ctx, most, enough, func() {
		g.warn("waiting up to %v for the program that writes to stdin; use </dev/null if it has nothing to say", guardSettle)
	})
}

// Open reports whether a program may still write a verdict. The error is that of
// a record which has come.
func (g *Guard) Open() (bool, error) {
	if g == nil {
		return false, nil
	}
	may := g.waitable()
	over, err := g.look() // after it: a program that has ended may have written
	return !over && may, err
}

// wait looks until nothing more can come, enough reports that it has seen enough
// or, where somebody may write, for as long as it is given. It calls notice once
// if that takes longer than a glance.
func (g *Guard) wait(ctx context.Context, most time.Duration, enough func() bool, notice func()) error {
	if g == nil {
		return nil
	}
	start, told := time.Now(), false
	for {
		over, err := g.look()
		if over || err != nil {
			return err
		}
		passed := time.Since(start)
		if passed >= most || enough() || passed < guardLook && !g.waitable() {
			return nil
		}
		if notice != nil && !told && passed > time.Second {
			notice()
			told = true
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(guardLook):
		}
	}
}

// waitable reports whether stdin is a pipe that a program beside this one holds.
func (g *Guard) waitable() bool {
	info, err := g.stdin.Stat()
	return err == nil && info.Mode()&fs.ModeNamedPipe != 0 && fed(g.stdin)
}

// notOurs reports whether stdin holds something else than records.
func (g *Guard) notOurs() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.foreign
}

// look reports whether nothing that concerns this run can come any more, and
// what is wrong if that is because a record has come.
func (g *Guard) look() (over bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return true, g.err
	}
	g.over, g.err = g.judge()
	return g.over, g.err
}

func (g *Guard) judge() (over bool, err error) {
	data, ended, err := peek(g.stdin)
	if err != nil {
		return true, nil // a stdin that cannot be looked at brings no verdict
	}
	found := find(data, ended)
	switch {
	case found.bad != nil:
		return true, errors.Join(found.err, g.out.Pass(*found.bad))
	case found.any || record.Announced(g.stdin):
		return true, g.unread()
	}
	// Other text belongs to somebody else. Records may still follow it.
	g.foreign = len(bytes.TrimSpace(data)) > 0 && !found.begun
	return ended, nil
}

func (g *Guard) unread() error {
	return cli.Hint(cli.Misuse("records are piped in, but this run does not read stdin"),
		"%s; add </dev/null if the records are not meant for this program", g.remedy)
}
