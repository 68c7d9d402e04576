package main

import (
	"context"
	"io"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

// guard returns the guard of a stdin that gather does not read.
func (c *config) guard(operand string, stdin io.Reader, out *record.Writer, progress *cli.Progress) *pipe.Guard {
	switch {
	case c.isPushed(operand):
		return nil
	case c.from != "":
		return pipe.NewGuard(stdin, out, progress.Warn, "omit --from to read k0s from the bundle that the records name")
	}
	return pipe.GuardOperand(operand, stdin, out, progress.Warn)
}

// gather gets k0s from the requested source. On an error it still returns what
// it has, for the caller to drop.
func (w *request) gather(ctx context.Context, own embedded, operand string, stdin io.Reader, in pipe.Reader) ([]found, error) {
	o := client.FromFlags(w.registry, "k0s-extract", w.log, w.progress)
	o.Names.At = "--from"
	if w.isPushed(operand) {
		return w.fromPushed(ctx, w.from, o, in, stdin)
	}
	if r, ok, _ := parseFrom(w.from); ok { // check has reported the error
		return w.fromRegistry(ctx, r, o)
	}
	switch {
	case w.from == "embedded":
		return w.fromSelf(ctx, own)
	case w.from != "":
		return w.fromFile(ctx, w.from)
	case operand == "" && own.there():
		if cli.CheckStdin(stdin) == nil { // records are passed on, and a bad signature still ends the run
			in.Optional = true
			if _, err := readRecords(ctx, in, stdin); err != nil && !isNothing(err) {
				return nil, err
			}
		}
		return w.fromSelf(ctx, own)
	}
	bundles, err := bundles(ctx, operand, stdin, in)
	if err != nil {
		return nil, err
	}
	var have []found
	for _, b := range bundles {
		if have, err = w.fromBundle(ctx, b, stdin, have); err != nil {
			break
		}
	}
	return have, err
}

// bundles returns the bundles to search: the operand, or those that records on
// stdin name.
func bundles(ctx context.Context, operand string, stdin io.Reader, in pipe.Reader) (all []*bundleRequest, err error) {
	if operand == "" {
		return readRecords(ctx, in, stdin)
	}
	for b, err := range in.Bundles(ctx, operand, stdin) {
		if err != nil {
			return nil, err
		}
		all = append(all, &bundleRequest{Bundle: b})
	}
	return all, nil
}
