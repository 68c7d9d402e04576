// bundle-version prints which release a bundle holds, according to the
// product's chart.
//
// It reads the bundle given as its argument, or those named by bundle records
// on stdin, and stops once it has found the chart. In a directory or a plain
// tar it reads a few kilobytes. It writes only to stdout and leaves nothing
// behind if killed.
package main

import (
	"cmp"
	"context"
	"flag"
	"io"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

const usage = `usage: bundle-version [flags] BUNDLE
       bundle-verify ... | bundle-version [flags]

  bundle-version bundle.tgz
  bundle-version --format '{{.version}}' bundle.tgz

Print which release a bundle holds, as one version record.
BUNDLE is a tar.gz, tar.zst, tar, a directory, or "-" for stdin.
For a bundle in parts, name the first part, or all parts in any order.
Without BUNDLE, bundle records are read from stdin. All records are passed on.

Reading:
  --all            read the whole bundle, to list its k0s versions as well; for
                   a directory or a plain tar they are always listed

Output:
  --format FORMAT  auto (default), json, table, or a template: '{{.version}}'
  --quiet          print only warnings and errors
  --verbose        log each action to stderr

General:
  --config FILE    read flags from FILE, one 'name value' per line
  --help, -h       print this text
  --version        print the version

Every flag is also an environment variable: BUNDLE_VERSION_FORMAT for --format.
Exit codes: 0 found, 1 not found or the bundle is damaged, 2 misuse,
130 interrupted.
`

// config holds the values of the flags.
type config struct {
	cli.Common
	all bool
}

func (c *config) flags() *flag.FlagSet {
	c.Format = record.NewFormat(record.Version{})
	fs := cli.NewFlagSet("bundle-version", &c.Common)
	fs.BoolVar(&c.all, "all", false, "")
	return fs
}

func main() { cli.Main("bundle-version", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	operand, err := pipe.Parse(fs, args, usage, stdout)
	if err != nil {
		return err
	}
	cfg.Quiet = cfg.Quiet || cli.IsPipe(stdout) // the program at its other end shows progress
	progress, out, log := cfg.Open("bundle-version", stdout, stderr)
	defer progress.Close()
	f := &finder{all: cfg.all, progress: progress, log: log}
	guard := pipe.GuardOperand(operand, stdin, out, progress.Warn)
	ctx, stop, err := guard.Begin(ctx)
	defer stop()
	if err != nil {
		return err
	}
	in := pipe.Reader{Out: out, Wait: pipe.Waiting(progress.Warn, stdout)}
	var failed error // of the first bundle whose version was not found
	for b, err := range in.Bundles(ctx, operand, stdin) {
		if err != nil {
			return err
		}
		found, err := f.find(ctx, b, stdin)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && failed == nil:
			failed = err
			continue
		case err != nil:
			progress.Warn("%v", err)
			continue
		}
		if err := guard.Settle(ctx); err != nil {
			return err
		}
		if err := out.WriteAs(found, found.Release()); err != nil {
			return err
		}
	}
	return cmp.Or(failed, f.incomplete())
}
