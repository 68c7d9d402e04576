package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// maxGated is how many bytes of manifests may wait while a bundle is verified;
// the vendor's takes some 2 MB.
const maxGated = 32 << 20

// errUntrusted marks images that were held back because their bundle did not
// prove to be the one that was verified. The run's error says why, once.
var errUntrusted = errors.New("not published: the bundle was not verified")

// gate holds back manifests and tags until the bundle they come from has been
// read to its end and found to be what was promised. A nil gate is open.
type gate struct {
	decided chan struct{}
	good    bool
	held    int64 // bytes of manifests that wait
}

func newGate() *gate { return &gate{decided: make(chan struct{})} }

// decide opens the gate, or shuts it for good. It is called once.
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

// hold notes manifests that will wait, and tells whether there is room.
func (g *gate) hold(n int64) error {
	if g.held+n > maxGated {
		return fmt.Errorf("more than %s of manifests to hold until the bundle is verified", record.Bytes(maxGated))
	}
	g.held += n
	return nil
}

// promise gives the digest that a bundle must have, waiting for it if need be.
// A nil promise means that nobody has verified the bundle.
type promise func(context.Context) (digest string, err error)

// keeps compares a bundle's digest with what was promised.
func (p promise) keeps(ctx context.Context, got string) error {
	want, err := p(ctx)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("it is not what was verified: want %s, got %s; nothing was published", want, got)
	}
	return nil
}

// verdict is the bundle record that --verified-by names.
type verdict struct {
	done   chan struct{}
	record record.Bundle
	err    error
}

// await gives the digest of a bundle whose signature was found good.
func (v *verdict) await(ctx context.Context) (string, error) {
	select {
	case <-v.done:
		return v.record.Digest, v.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// readVerdict reads the record in the background, since what writes it reads
// the bundle at the same time as we do. A bad word ends the run at once.
func readVerdict(name string, stdin io.Reader, abort context.CancelCauseFunc) (*verdict, error) {
	in, err := cli.Open(name, stdin)
	if errors.Is(err, os.ErrNotExist) {
		err = cli.Misuse("--verified-by: %w", err)
	}
	if err != nil {
		return nil, err
	}
	v := &verdict{done: make(chan struct{})}
	go func() { // ends with the input, or with the program
		defer in.Close()
		defer close(v.done)
		if v.record, v.err = findVerdict(in); v.err != nil {
			abort(v.err)
		}
	}()
	return v, nil
}

// findVerdict gives the first bundle record, if it says good.
func findVerdict(r io.Reader) (record.Bundle, error) {
	for line, err := range record.Read(r) {
		if err != nil {
			return record.Bundle{}, fmt.Errorf("--verified-by: %w", err)
		}
		if line.Kind != (record.Bundle{}).Kind() {
			continue
		}
		var b record.Bundle
		if err := line.Decode(&b); err != nil {
			return record.Bundle{}, fmt.Errorf("--verified-by: %w", err)
		}
		switch {
		case b.Signature == record.SignatureBad:
			return b, fmt.Errorf("bundle %s: %w", b.Path, errBadSignature)
		case b.Signature != record.SignatureGood || b.Digest == "":
			return b, fmt.Errorf("bundle %s: its signature was not checked; nothing was published", b.Path)
		}
		return b, nil
	}
	return record.Bundle{}, errors.New("--verified-by: no bundle record: verification has failed; nothing was published")
}
