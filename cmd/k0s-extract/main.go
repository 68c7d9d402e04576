// k0s-extract installs k0s on this host.
//
// It reads k0s from its image in a bundle as the bundle streams, from that image
// in a registry, from a file, or from itself if the build embeds one. It writes
// only the file that it installs, under a temporary name until the bytes are
// verified; a run that was killed leaves at most that temporary file, which the
// next run removes.
package main

import (
	"context"
	"io"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
)

const usage = `usage: k0s-extract [flags] BUNDLE
       k0s-extract --from FILE|HOST[:PORT]/.../k0sproject/k0s[:TAG] [flags]
       k0s-extract --from HOST[:PORT][/PREFIX] [flags] - <RECORDS
       bundle-verify ... | k0s-extract [flags]

  k0s-extract bundle.tgz
  bundle-verify --key cosign.pub bundle.tgz | k0s-extract
  k0s-extract --from 10.0.0.5:5000/k0sproject/k0s --ca ca.crt

Install k0s on this host from a bundle, a registry or a file; print one file
record. BUNDLE is a tar.gz, tar.zst, tar, a directory, or "-" for stdin.
For a bundle in parts, name the first part, or all parts in any order.
Without BUNDLE, records on stdin name the bundle; with --from and "-", records
of oci-push name the images in the registry. All records are passed on.

Which k0s:
  --from FILE|REFERENCE
                       get k0s from a file or a registry; "embedded" is the one
                       in this program
  --platform OS/ARCH[,...]
                       the platform that k0s is for (default: this machine's);
                       with --name, one or more (default: all that the records
                       of oci-push list)
  --k0s-version VERSION
                       install this version instead of the newest
  --flavor             print which build this is and which k0s it contains

Where to:
  --to FILE            write to FILE (default /usr/local/bin/k0s)
  --name               write every version to the directory --to, for child
                       clusters, as k0s-VERSION-ARCH
  --replace            replace the file even if it is running, newer, or not k0s
  --plan               report what would be written, and write nothing

Registry of --from:
  --username NAME      user name for the registry
  --password-file FILE
                       file that contains the password
  --ca FILE            its certificate authority, in PEM
  --plain-http         use plain HTTP
  --answer-timeout DURATION
                       how long to wait for its first answer (default 30s)

Output:
  --format FORMAT      auto (default), json, table, or a template:
                       '{{.version}}'
  --quiet              print only warnings and errors
  --verbose            log each action to stderr

General:
  --config FILE        read flags from FILE, one 'name value' per line
  --help, -h           print this text
  --version            print the version

Every flag is also an environment variable: K0S_EXTRACT_TO for --to.
Exit codes: 0 installed, 1 failed, 2 misuse, 75 registry unreachable,
130 interrupted.
`

func main() { cli.Main("k0s-extract", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return runAs(ctx, self(), args, stdin, stdout, stderr)
}

// runAs is run for a build with or without an embedded k0s.
func runAs(ctx context.Context, own embedded, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	operand, err := pipe.Parse(fs, args, usage, stdout)
	if err != nil {
		return err
	}
	if cfg.flavor {
		return own.describe(stdout)
	}
	if err := cfg.check(operand); err != nil {
		return cli.Named(fs, err)
	}
	progress, out, log := cfg.Open("k0s-extract", stdout, stderr)
	defer progress.Close()
	w := &request{&cfg, progress, log}
	guard := cfg.guard(operand, stdin, out, progress)
	ctx, stop, err := guard.Begin(ctx)
	defer stop()
	if err != nil {
		return err
	}
	have, err := w.gather(ctx, own, operand, stdin, pipe.Reader{Out: out, Wait: pipe.Waiting(progress.Warn, stdout)})
	defer func() { drop(have) }()
	if err == nil {
		err = guard.Settle(ctx)
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	progress.Close()
	return cfg.place(have, out, progress)
}
