// k0s-mirror-config makes the containerd of k0s pull every image from the
// registry of the site, and from nowhere else.
//
// It writes a drop-in in the syntax of the k0s at hand and, for each registry
// that images are named after, a directory with a hosts.toml and the mirror's
// certificate authority. Files are replaced whole, and only if they differ.
// Files of others that would undo these are named, and then nothing is
// written. A killed run leaves each file old or new and no directory without
// its hosts.toml; the next run completes it.
//
// With --check it asks the mirrors for the images that k0s needs, with the
// path, authority and login that containerd will use, and names what they have
// instead of a missing one.
package main

import (
	"context"
	"errors"
	"io"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

const usage = `usage: k0s-mirror-config --mirror https://HOST[:PORT][/PREFIX] [flags]
       RECORDS | k0s-mirror-config [flags]
       k0s-mirror-config --check [flags]
       k0s-mirror-config --remove [flags]

Make the containerd of k0s pull every image from the site's registry, and from
nowhere else. Records on stdin are passed on; without --mirror, those of
oci-serve and oci-push tell where the images are.

  --mirror URL         a registry to pull from; more are asked in order
  --ca FILE            certificate authorities of the mirrors, in PEM
  --username NAME      user at the mirrors
  --password-file FILE file that holds the user's password
  --answer-timeout DURATION
                       how long to wait for a mirror's first answer (default 30s)
  --k0s FILE           the k0s to configure (default /usr/local/bin/k0s)
  --k0s-version V      its version, if it is not there yet or is to be replaced
  --images FILE        more images that are used, one a line ("-": stdin)
  --root DIR           write below DIR instead of /
  --plan               tell what would be written, and write nothing
  --restart            wait until k0s uses a changed drop-in, restart it if need be
  --check              ask the mirrors for the images, and write nothing
  --remove             take away what this program wrote
  --format FORMAT      json (default), table, or a template: '{{.path}}'
  --quiet              no progress, warnings and errors only
  --verbose            log what is done to stderr
  --config FILE        read flags from FILE, one 'name value' a line
  --help               print this text
  --version            print the version

--mirror and --ca may be given more than once, or list several with commas.
Every flag is also a variable: K0S_MIRROR_CONFIG_MIRROR for --mirror.
Exit codes: 0 done, 1 a foreign file conflicts, an image is missing or some of
the work failed, 2 misuse, 75 no mirror answers or another run is at work, 130
interrupted.

  k0s-mirror-config --mirror https://10.0.0.5:5000/k0rdent-enterprise --ca ca.crt
  k0s-mirror-config --check
`

func main() { cli.Main("k0s-mirror-config", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	if err := cli.Parse(cfg.flags(), args, usage, stdout, 0); err != nil {
		return err
	}
	if err := cfg.check(); err != nil {
		return err
	}
	progress := cli.NewProgress("k0s-mirror-config", stderr, cfg.Quiet)
	defer progress.Close()
	out := record.NewWriter(progress.Beside(stdout), cfg.format)
	t := &tool{
		cfg: &cfg, progress: progress, log: cli.Logger(progress, cfg.Verbose),
		results: newResults(out), binary: k0s.Binary{Path: cfg.k0s},
	}
	var err error
	if t.in, err = readInput(ctx, &cfg, stdin, pipe.Reader{Out: out, Optional: true, Wait: pipe.Waiting(progress.Warn, stdout)}); err != nil {
		return err
	}
	switch {
	case cfg.checking:
		err = t.check(ctx)
	case cfg.remove:
		err = t.remove(ctx)
	default:
		err = t.write(ctx)
	}
	if ctx.Err() != nil { // what ended the run matters more than what that made fail
		err = context.Cause(ctx)
	}
	return errors.Join(err, t.results.close())
}
