// bundle-ls lists what a bundle holds for a registry: one image record for each
// image, index, chart and artifact, in the bundle's order, written as soon as
// it is known.
//
// It reads the bundle given as its argument, or those named by bundle records
// on stdin, once and without unpacking. In a directory or a plain tar it reads
// only headers and JSON; a stream is read completely, and every digest is
// checked. It writes only to stdout and leaves nothing behind if killed.
package main

import (
	"bytes"
	"context"
	"flag"
	"io"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/textfile"
)

const usage = `usage: bundle-ls [flags] BUNDLE
       bundle-verify ... | bundle-ls [flags]

  bundle-ls bundle.tgz | oci-push --to localhost:5000
  bundle-ls --format '{{.repository}}:{{.tag}}' bundle.tgz

List the images, charts and artifacts in a bundle, one record each.
BUNDLE is a tar.gz, tar.zst, tar, a directory, or "-" for stdin.
Without BUNDLE, bundle records are read from stdin. All records are passed on.

Listing:
  --map FILE       read references from FILE, lines of: ENTRY REPOSITORY:TAG
  --blobs          print a record for each blob as well

Output:
  --format FORMAT  json (default), table, or a template: '{{.repository}}'
  --quiet          print only warnings and errors
  --verbose        log each action to stderr

General:
  --config FILE    read flags from FILE, one 'name value' per line
  --help, -h       print this text
  --version        print the version

Every flag is also an environment variable: BUNDLE_LS_MAP for --map.
Exit codes: 0 all listed, 1 an entry or the bundle is damaged, 2 misuse,
130 interrupted.
`

// config holds the values of the flags.
type config struct {
	cli.Common
	format    *record.Format
	overrides string
	blobs     bool
}

func (c *config) flags() *flag.FlagSet {
	fs := cli.NewFlagSet("bundle-ls", &c.Common)
	c.format = record.NewFormat(record.Image{})
	fs.StringVar(&c.overrides, "map", "", "")
	fs.BoolVar(&c.blobs, "blobs", false, "")
	fs.Var(c.format, "format", "")
	return fs
}

func main() { cli.Main("bundle-ls", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	if err := cli.Parse(fs, args, usage, stdout, 1); err != nil {
		return err
	}
	overrides, err := readOverrides(cfg.overrides)
	if err != nil {
		return cli.Named(fs, err)
	}
	quiet := cfg.Quiet || pipe.Piped(stdout)
	progress := cli.NewProgress("bundle-ls", stderr, quiet)
	defer progress.Close()
	l := newLister(record.NewWriter(progress.Beside(stdout), cfg.format), progress, overrides, cfg.blobs)
	l.log = cli.Logger(progress, cfg.Verbose)
	guard := pipe.GuardOperand(fs.Arg(0), stdin, l.out, progress.Warn)
	ctx, stop, err := guard.Begin(ctx)
	defer stop()
	if err == nil {
		err = guard.Settle(ctx)
	}
	if err != nil {
		return err
	}
	open, err := guard.Open() // a later verdict must still be passed on
	if err != nil {
		return err
	}
	l.leaves = overrides == nil && !cfg.blobs && !open
	in := pipe.Reader{Out: l.out, Wait: pipe.Waiting(progress.Warn, stdout)}
	var failed error // of the first bundle that could not be listed
	for b, err := range in.Bundles(ctx, fs.Arg(0), stdin) {
		if err != nil {
			return l.broken(ctx, err)
		}
		if err := l.bundle(ctx, b, stdin); failed == nil {
			failed = err
		} else if err != nil && ctx.Err() == nil {
			progress.Warn("%v", err)
		}
	}
	if failed != nil {
		return l.broken(ctx, failed)
	}
	if err := guard.Settle(ctx); err != nil {
		return err
	}
	return l.finish()
}

// readOverrides reads the file that --map names. Its errors are misuse, as for
// any other setting.
func readOverrides(name string) (ref.Overrides, error) {
	if name == "" {
		return nil, nil
	}
	text, err := textfile.Read(name)
	if err != nil {
		return nil, cli.Misuse("--map: %w", err)
	}
	overrides, err := ref.ParseOverrides(bytes.NewReader(text))
	if err != nil {
		return nil, cli.Misuse("--map %s: %w", name, err)
	}
	return overrides, nil
}
