// k0s-mirror-config configures the containerd of k0s to pull every image from
// the site's registry, and from nowhere else.
//
// It writes a drop-in in the syntax of the installed k0s and, for each registry
// that images are named after, a directory with a hosts.toml and the mirror's
// certificate authority. Files are replaced atomically, and only if they
// differ. If files of others conflict, they are reported and nothing is
// written. A killed run leaves each file old or new and no directory without
// its hosts.toml; the next run completes it.
//
// With --check it requests the images that k0s needs from the mirrors, with the
// path, authority and login that containerd uses, and suggests similar names
// for missing ones.
package main

import (
	"context"
	"errors"
	"io"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/pipe"
)

const usage = `usage: k0s-mirror-config --mirror https://HOST[:PORT][/PREFIX] [flags]
       RECORDS | k0s-mirror-config [flags]
       k0s-mirror-config --check [flags]
       k0s-mirror-config --remove [flags]

  k0s-mirror-config --mirror https://10.0.0.5:5000/k0rdent --ca ca.crt
  k0s-mirror-config --check

Make the containerd of k0s pull every image from the site's registry, and from
nowhere else. Without --mirror, the records of oci-serve and oci-push on stdin
name the registry. All records are passed on.

What to do:
  --plan               report what would be written, and write nothing
  --restart            wait until k0s uses a changed drop-in; restart it if
                       needed
  --check              check that the mirrors have the images; write nothing
  --remove             remove the files that this program wrote

Mirrors:
  --mirror URL         a registry to pull from; several are tried in order
  --ca FILE            certificate authorities of the mirrors, in PEM
  --username NAME      user name for the mirrors
  --password-file FILE file that contains the password
  --answer-timeout DURATION
                       how long to wait for a mirror's first answer
                       (default 30s)

k0s:
  --k0s FILE           the k0s to configure (default /usr/local/bin/k0s)
  --k0s-version V      its version, if not installed yet or about to be replaced
  --images FILE        a list of other images in use, one per line ("-" for
                       stdin)
  --root DIR           write below DIR instead of /

Output:
  --format FORMAT      auto (default), json, table, or a template: '{{.path}}'
  --quiet              print only warnings and errors
  --verbose            log each action to stderr

General:
  --config FILE        read flags from FILE, one 'name value' per line
  --help, -h           print this text
  --version            print the version

--mirror and --ca may be repeated, or list several with commas.
Every flag is also an environment variable:
K0S_MIRROR_CONFIG_MIRROR for --mirror.
Exit codes: 0 done, 1 a file conflicts, an image is missing or something failed,
2 misuse, 75 no mirror answers or another run is in progress, 130 interrupted.
`

func main() { cli.Main("k0s-mirror-config", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	if err := cli.Parse(fs, args, usage, stdout, 0); err != nil {
		return err
	}
	if err := cfg.check(); err != nil {
		return cli.Named(fs, err)
	}
	progress, out, log := cfg.Open("k0s-mirror-config", stdout, stderr)
	defer progress.Close()
	t := &tool{cfg: &cfg, progress: progress, log: log, results: newResults(out), binary: k0s.Binary{Path: cfg.k0s}}
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
	if ctx.Err() != nil { // the cause matters more than its consequences
		err = context.Cause(ctx)
	}
	return progress.Final(errors.Join(err, t.results.close()))
}
