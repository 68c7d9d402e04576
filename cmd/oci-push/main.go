// oci-push pushes the images, indexes, charts and artifacts of a bundle to a
// registry, as a stream.
//
// It reads image records from stdin, as bundle-ls writes them, or takes
// everything in the bundle that is its operand. The bundle is read once and
// never unpacked: blobs go to the registry as they pass, a few at a time within
// a budget of memory; then the manifests, children before parents, and last the
// tag. What the registry has is not sent again, so a second run completes what
// a first one left.
package main

import (
	"context"
	"io"

	"k0rdent-airgap/lib/cli"
)

const usage = `usage: bundle-ls BUNDLE | oci-push --to HOST[:PORT][/PREFIX] [flags]
       oci-push --to HOST[:PORT][/PREFIX] [flags] BUNDLE
       oci-push --from HOST[:PORT][/PREFIX] --to HOST[:PORT][/PREFIX] [flags] [-]
       oci-push --to HOST[:PORT][/PREFIX] --alias FROM=TO [flags]

Push the images and charts of a bundle to a registry, as a stream.
Without an operand, image records are read from stdin; with one, everything in
the bundle is pushed ("-": the bundle's bytes come on stdin). With --from, all
that another registry lists is copied, or with "-" what records on stdin name.

  --to HOST[:PORT][/PREFIX]   the registry, and a path before every repository
  --from HOST[:PORT][/PREFIX] copy from this registry instead of a bundle
  --jobs N                    uploads at a time (default 5)
  --memory SIZE               budget for blobs under way (default 64MiB)
  --platform OS/ARCH[,...]    leave other platforms' images out of indexes
  --verified-by FILE          publish only when the bundle record in FILE ("-":
                              stdin), which may still be written, says good
  --alias FROM=TO             give what the registry then has as FROM the name TO
                              as well; FROM and TO are REPOSITORY:TAG, or
                              REPOSITORY for all tags; repeat it, or use commas
  --plan                      tell what would be sent, and send nothing
  --ca FILE                   certificate authority of the registries, in PEM
  --plain-http                speak HTTP (always tried for this machine itself)
  --answer-timeout DURATION   how long to wait for a registry's first answer
                              (default 30s)
  --insecure-skip-tls-verify  do not check the registry's certificate
  --username NAME             user, instead of docker's configuration file
  --password-file FILE        file that holds the user's password
  --from-username NAME        user at the registry of --from
  --from-password-file FILE   file that holds that user's password
  --format FORMAT             json (default), table, or a template: '{{.reference}}'
  --quiet                     no progress, warnings and errors only
  --verbose                   log what is done to stderr
  --config FILE               read flags from FILE, one 'name value' a line
  --help                      print this text
  --version                   print the version

Every flag is also a variable: OCI_PUSH_TO for --to.
Exit codes: 0 all there, 1 some failed, 2 misuse, 75 registry unreachable,
130 interrupted.

  bundle-ls bundle.tgz | oci-push --to localhost:5000
  bundle-verify --key cosign.pub bundle.tgz | bundle-ls | oci-push --to localhost:5000
  bundle-ls bundle.tgz | grep '"type":"chart"' | oci-push --to localhost:5000
`

func main() { cli.Main("oci-push", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	if err := cli.Parse(fs, args, usage, stdout, 1); err != nil {
		return err
	}
	operand, stdin, err := cfg.check(fs.Arg(0), stdin)
	if err != nil {
		return err
	}
	if err := cli.CheckProxies(); err != nil {
		return err
	}
	mem, err := newMemory(cfg.memory)
	if err != nil {
		return err
	}
	// Pieces of the budget are used again and again; this keeps the rest, the
	// garbage of requests, from growing to the same size before it is collected.
	cli.LimitMemory(cfg.memory + overhead)
	return push(ctx, &cfg, mem, operand, stdin, stdout, stderr)
}
