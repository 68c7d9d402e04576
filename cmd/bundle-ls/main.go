// bundle-ls lists what a bundle holds for a registry: one image record for each
// image, index, chart and artifact, in the bundle's order, written as soon as
// it is known, and a file record for each file that is for an HTTP server.
//
// It reads the bundle given as its argument, or those named by bundle records
// on stdin, once and without unpacking. In a directory or a plain tar it reads
// only headers and JSON; a stream is read completely, and every digest is
// checked. With --registry it lists a registry instead, by its API. It writes only
// to stdout and leaves nothing behind if killed.
package main

import (
	"context"
	"io"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
)

const usage = `usage: bundle-ls [flags] BUNDLE
       bundle-verify ... | bundle-ls [flags]
       bundle-ls --registry HOST[:PORT][/PREFIX] [--du] [flags]

  bundle-ls bundle.tgz | oci-push --to localhost:5000
  bundle-ls --format '{{.repository}}:{{.tag}}' bundle.tgz
  bundle-ls --registry localhost:5000 --du --format table

List the images, charts and artifacts in a bundle or a registry, one record
each.
BUNDLE is a tar.gz, tar.zst, tar, a directory, or "-" for stdin.
For a bundle in parts, name the first part, or all parts in any order.
Without BUNDLE, bundle records are read from stdin. All records are passed on.

Listing:
  --map FILE       read references from FILE, lines of: ENTRY REPOSITORY:TAG
  --blobs          also print a record for each blob

Registry:
  --registry HOST[:PORT][/PREFIX]
                   list this registry instead of a bundle
  --du             print the space used by each repository; the total counts
                   shared blobs once
  --ca FILE        certificate authority of the registry, in PEM
  --plain-http     use plain HTTP (tried automatically for localhost)
  --answer-timeout DURATION
                   how long to wait for the registry's first answer
                   (default 30s)
  --insecure-skip-tls-verify
                   do not check the registry's certificate
  --username NAME  user name, instead of a login file
  --password-file FILE
                   file that contains the password

Output:
  --format FORMAT  auto (default), json, table, or a template: '{{.repository}}'
  --quiet          print only warnings and errors
  --verbose        log each action to stderr

General:
  --config FILE    read flags from FILE, one 'name value' per line
  --help, -h       print this text
  --version        print the version

Every flag is also an environment variable: BUNDLE_LS_MAP for --map.
Exit codes: 0 all listed, 1 something cannot be read, 2 misuse, 75 registry
unreachable, 130 interrupted.
`

func main() { cli.Main("bundle-ls", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	operand, err := pipe.Parse(fs, args, usage, stdout)
	if err != nil {
		return err
	}
	if err := cfg.check(fs, operand); err != nil {
		return cli.Named(fs, err)
	}
	overrides, err := readOverrides(cfg.overrides)
	if err != nil {
		return cli.Named(fs, err)
	}
	cfg.Quiet = cfg.Quiet || cli.IsPipe(stdout) // the program at its other end shows progress
	progress, out, log := cfg.Open("bundle-ls", stdout, stderr)
	defer progress.Close()
	l := newLister(out, progress, overrides, cfg.blobs)
	l.log = log
	if cfg.registry.At != "" {
		return l.registry(ctx, &cfg, stdin)
	}
	return l.all(ctx, operand, stdin, stdout)
}

// all lists the bundle that is the operand, or those named by records on stdin.
func (l *lister) all(ctx context.Context, operand string, stdin io.Reader, stdout io.Writer) error {
	guard := pipe.GuardOperand(operand, stdin, l.out, l.progress.Warn)
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
	l.leaves = l.overrides == nil && !l.blobs && !open
	in := pipe.Reader{Out: l.out, Wait: pipe.Waiting(l.progress.Warn, stdout)}
	var failed error // of the first bundle that could not be listed
	for b, err := range in.Bundles(ctx, operand, stdin) {
		if err != nil {
			return l.broken(ctx, err)
		}
		if err := l.bundle(ctx, b, stdin); failed == nil {
			failed = err
		} else if err != nil && ctx.Err() == nil {
			l.progress.Warn("%v", err)
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
