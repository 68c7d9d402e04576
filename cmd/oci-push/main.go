// oci-push pushes the images, indexes, charts and artifacts of a bundle to a
// registry, as a stream.
//
// It reads image records from stdin, as bundle-ls writes them, or pushes
// everything in the bundle given as its argument. The bundle is read once and
// never unpacked: blobs are sent to the registry as they stream by, a few at a
// time within a memory budget; then the manifests, children before parents, and
// last the tag. Blobs that the registry already has are skipped, so a second
// run completes the first one.
package main

import (
	"context"
	"io"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
)

const usage = `usage: bundle-ls BUNDLE | oci-push --to HOST[:PORT][/PREFIX] [flags]
       oci-push --to HOST[:PORT][/PREFIX] [flags] BUNDLE
       oci-push --from HOST[:PORT][/PREFIX] --to ... [flags] [-]
       oci-push --to ... --alias FROM=TO [flags]

  bundle-ls bundle.tgz | oci-push --to localhost:5000
  bundle-ls bundle.tgz | grep '"type":"chart"' | oci-push --to localhost:5000
  bundle-verify --key cosign.pub bundle.tgz | bundle-ls |
      oci-push --to localhost:5000

Push the images, charts and files of a bundle to a registry, as a stream.
Without BUNDLE, the images named by records on stdin are pushed; with it,
everything in the bundle ("-" for stdin). With --from, everything that another
registry lists is copied or, with "-", the images named by records on stdin.
For a bundle in parts, name the first part, or all parts in any order.

What to push:
  --from HOST[:PORT][/PREFIX]
                      copy from this registry instead of a bundle
  --platform OS/ARCH[,...]
                      omit other platforms' images from indexes
  --verified-by FILE  wait for the bundle record in FILE ("-" for stdin), and
                      publish nothing unless it says that the bundle is good
  --alias FROM=TO     after pushing, also tag FROM as TO; both are
                      REPOSITORY:TAG, or REPOSITORY for all tags;
                      repeatable, or with commas
  --files DIR         write the bundle's files below DIR, for an HTTP server,
                      instead of to the registry
  --plan              report what would be sent, and send nothing

Registry:
  --to HOST[:PORT][/PREFIX]
                      the registry, and a prefix for every repository
  --username NAME     user name, instead of a login file
  --password-file FILE
                      file that contains the password
  --from-username NAME
                      user name for the registry of --from
  --from-password-file FILE
                      file that contains the password for it
  --ca FILE           certificate authority of the registries, in PEM
  --plain-http        use plain HTTP (tried automatically for localhost)
  --insecure-skip-tls-verify
                      do not check the registry's certificate
  --answer-timeout DURATION
                      how long to wait for a registry's first answer
                      (default 30s)

Resources:
  --jobs N            uploads at a time (default 5)
  --memory SIZE       memory budget for blobs, such as 500M or 1GiB
                      (default 64MiB)

Output:
  --format FORMAT     auto (default), json, table, or a template such
                      as '{{.reference}}'
  --quiet             print only warnings and errors
  --verbose           log each action to stderr

General:
  --config FILE       read flags from FILE, one 'name value' per line
  --help, -h          print this text
  --version           print the version

Every flag is also an environment variable: OCI_PUSH_TO for --to.
Exit codes: 0 all pushed, 1 some failed, 2 misuse, 75 registry unreachable,
130 interrupted.
`

func main() { cli.Main("oci-push", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	operand, err := pipe.Parse(fs, args, usage, stdout)
	if err != nil {
		return err
	}
	operand, stdin, err = cfg.check(operand, stdin)
	if err != nil {
		return cli.Named(fs, err)
	}
	mem := newMemory(cfg.memory, cfg.jobs)
	// Pieces of the budget are reused; this keeps the rest, the garbage of
	// requests, from growing to the same size before it is collected.
	cli.LimitMemory(cfg.memory + overhead)
	return cli.Named(fs, push(ctx, &cfg, mem, operand, stdin, stdout, stderr))
}
