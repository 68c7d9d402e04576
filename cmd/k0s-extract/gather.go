package main

import (
	"context"
	"io"
	"path/filepath"

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
func (w *request) gather(ctx context.Context, c *config, own embedded, operand string, stdin io.Reader, in pipe.Reader) ([]found, error) {
	o := client.Options{
		PlainHTTP: c.plainHTTP, CAFile: c.ca, Username: c.username, PasswordFile: c.passwordFile, Timeout: c.answer,
		LoginFiles: cli.LoginFiles(), Agent: cli.Agent("k0s-extract"), Log: w.log,
		Notice: func(text string) { w.progress.Warn("%s", text) },
		Names: client.Names{
			At: "--from", CA: "--ca", PlainHTTP: "--plain-http", Timeout: "--answer-timeout",
			Username: "--username", PasswordFile: "--password-file",
		},
	}
	if c.isPushed(operand) {
		return w.fromPushed(ctx, c.from, o, in, stdin)
	}
	if r, ok, _ := parseFrom(c.from); ok { // check has reported the error
		o.At = r.Host
		return w.fromRegistry(ctx, r, o)
	}
	switch {
	case c.from == "embedded":
		return w.fromSelf(ctx, own)
	case c.from != "":
		return w.fromFile(ctx, c.from)
	case operand == "-":
		if err := cli.CheckStdin(stdin); err != nil {
			return nil, err
		}
		return w.fromBundle(ctx, bundleRequest{Bundle: pipe.Bundle{Path: "-"}}, stdin, nil)
	case operand != "":
		path, err := filepath.Abs(operand)
		if err != nil {
			return nil, err
		}
		return w.fromBundle(ctx, bundleRequest{Bundle: pipe.Bundle{Path: path}}, nil, nil)
	}
	if err := cli.CheckStdin(stdin); err != nil {
		if own.there() {
			return w.fromSelf(ctx, own)
		}
		return nil, err
	}
	in.Optional = own.there()
	bundles, err := readRecords(ctx, in, stdin)
	if own.there() && (err == nil || isNothing(err)) {
		return w.fromSelf(ctx, own)
	}
	var have []found
	for _, b := range bundles {
		if have, err = w.fromBundle(ctx, *b, nil, have); err != nil {
			break
		}
	}
	return have, err
}
