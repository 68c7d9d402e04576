package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

// maxGated is how many bytes of manifests may wait while a bundle is verified;
// the vendor's takes about 2 MB.
const maxGated = 32 << 20

// errUntrusted marks images that were held back because their bundle was not
// the one that was verified. The run's error says why, once.
var errUntrusted = errors.New("not published: the bundle was not verified")

// gate holds back manifests and tags until their bundle has been read to its
// end and found to be the verified one. A nil gate is open.
type gate struct {
	decided chan struct{}
	good    bool
	held    int64 // bytes of manifests that wait
}

func newGate() *gate { return &gate{decided: make(chan struct{})} }

// decide opens the gate, or closes it permanently. It must be called once.
func (g *gate) decide(good bool) {
	if g != nil {
		g.good = good
		close(g.decided)
	}
}

// pass waits for the decision.
func (g *gate) pass(ctx context.Context) error {
	if g == nil {
		return nil
	}
	select {
	case <-g.decided:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !g.good {
		return errUntrusted
	}
	return nil
}

// hold counts manifests that will wait, and returns an error if there is no
// room.
func (g *gate) hold(n int64) error {
	if g.held+n > maxGated {
		return fmt.Errorf("more than %s of manifests to hold until the bundle is verified", record.Bytes(maxGated))
	}
	g.held += n
	return nil
}

// promise waits for the verdict on a bundle that has been read to its end, and
// compares the bundle with it. A nil promise means that it was not verified.
type promise func(context.Context, *bundle.Bundle) error

// verdict holds the bundle records that --verified-by names.
type verdict struct {
	good chan string // digests of bundles with a good signature; closed at the end
	err  error       // once good is closed
}

// keeps waits until the bundle that was read is among those found good.
func (v *verdict) keeps(ctx context.Context, b *bundle.Bundle) error {
	got, want := b.Digest(), ""
	for {
		select {
		case digest, more := <-v.good:
			switch {
			case more && digest == got:
				return nil
			case more:
				want = digest
			case v.err != nil:
				return v.err
			default:
				return pipe.Differs(got, want)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// passed waits until the records on stdin behind the verdict have been passed
// on, or the run ends.
func (v *verdict) passed() error {
	for range v.good {
	}
	return v.err
}

// readVerdict reads the records in the background, since their writer reads the
// bundle at the same time. A bad verdict ends the run at once.
func (i *input) readVerdict(ctx context.Context, name string, abort context.CancelCauseFunc) (*verdict, error) {
	v := &verdict{good: make(chan string)}
	end := func(err error) {
		if v.err = err; err != nil {
			abort(err)
		}
		close(v.good)
	}
	if name == "-" {
		if err := cli.CheckStdin(i.stdin); err != nil {
			return nil, err
		}
		i.reading.Go(func() { end(v.read(ctx, i.in.Out, i.stdin)) }) // ends with stdin or the run
		return v, nil
	}
	if _, err := os.Stat(name); err != nil {
		return nil, cli.Misuse("--verified-by: %w", err)
	}
	go func() { // ends with the file, the run, or the program: opening a named pipe waits for its writer
		f, err := os.Open(name)
		if err != nil {
			end(err)
			return
		}
		defer f.Close()
		end(v.read(ctx, nil, f))
	}()
	return v, nil
}

// read passes on the digest of each bundle that was found good, and to out, unless
// that is nil, every record.
func (v *verdict) read(ctx context.Context, out *record.Writer, from io.Reader) error {
	in := pipe.Reader{Name: "--verified-by", Out: out}
	found := false
	for line, err := range in.Records(ctx, from) {
		if err != nil {
			return err
		}
		var b record.Bundle
		if line.Kind != b.Kind() {
			continue
		}
		if err := line.Decode(&b); err != nil {
			return fmt.Errorf("--verified-by: %w", err)
		}
		if b.Signature != record.SignatureGood || b.Digest == "" {
			return fmt.Errorf("bundle %s: its signature was not checked; nothing was published", b.Path)
		}
		found = true
		select {
		case v.good <- b.Digest:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if !found {
		return cli.Hint(errors.New("--verified-by: no verdict: its input ended without a bundle record; nothing was published"),
			"bundle-verify writes the record once it has read the whole bundle; its messages say why it did not")
	}
	return nil
}

// guard returns the guard for a stdin that the run does not read.
func (c *config) guard(operand string, stdin io.Reader, out *record.Writer, progress *cli.Progress) *pipe.Guard {
	switch {
	case c.verifiedBy == "-" || operand == "-":
		return nil
	case c.from != "":
		return pipe.NewGuard(stdin, out, progress.Warn, "give - as the argument to copy the images that they name")
	}
	return pipe.GuardOperand(operand, stdin, out, progress.Warn)
}
