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
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
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

// config is what the flags say.
type config struct {
	common cli.Common
	format *record.Format

	to        string
	jobs      int
	memory    size
	platforms oci.Platforms
	plan      bool
	aliases   aliases

	verifiedBy string

	from             string
	fromUsername     string
	fromPasswordFile string

	ca           string
	plainHTTP    bool
	answer       time.Duration
	skipVerify   bool
	username     string
	passwordFile string
}

func (c *config) flags() *flag.FlagSet {
	fs := cli.NewFlagSet("oci-push", &c.common)
	c.format, c.memory = record.NewFormat(record.Image{}), 64<<20
	fs.StringVar(&c.to, "to", "", "the registry: `HOST[:PORT][/PREFIX]`")
	fs.IntVar(&c.jobs, "jobs", 5, "uploads at a time")
	fs.Var(&c.memory, "memory", "budget for blobs under way")
	fs.Var(&c.platforms, "platform", "leave other platforms' images out of indexes")
	fs.Var(&c.aliases, "alias", "give what is under one name another, too")
	fs.BoolVar(&c.plan, "plan", false, "tell what would be sent, and send nothing")
	fs.StringVar(&c.verifiedBy, "verified-by", "", "publish when the bundle record in this file says good")
	fs.StringVar(&c.from, "from", "", "copy from this registry instead of a bundle")
	fs.StringVar(&c.fromUsername, "from-username", "", "user at the registry of --from")
	fs.StringVar(&c.fromPasswordFile, "from-password-file", "", "file that holds that user's password")
	fs.StringVar(&c.ca, "ca", "", "certificate authority of the registry")
	fs.BoolVar(&c.plainHTTP, "plain-http", false, "speak HTTP")
	fs.DurationVar(&c.answer, "answer-timeout", client.FirstAnswer, "how long to wait for a registry's first answer")
	fs.BoolVar(&c.skipVerify, "insecure-skip-tls-verify", false, "do not check the registry's certificate")
	fs.StringVar(&c.username, "username", "", "user")
	fs.StringVar(&c.passwordFile, "password-file", "", "file that holds the user's password")
	fs.Var(c.format, "format", "json, table or a template")
	return fs
}

func main() { cli.Main("oci-push", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	if err := cli.Parse(fs, args, usage, stdout, 1); err != nil {
		return err
	}
	operand := fs.Arg(0)
	if operand != "" && operand != "-" {
		abs, err := filepath.Abs(operand)
		if err != nil {
			return err
		}
		operand = abs
	}
	switch {
	case cfg.to == "":
		return cli.Hint(cli.Misuse("no registry to push to"), "give --to HOST[:PORT][/PREFIX]")
	case cfg.jobs < 1:
		return cli.Misuse("--jobs: at least 1")
	case cfg.answer <= 0:
		return cli.Misuse("--answer-timeout %v: must be longer than 0", cfg.answer)
	case cfg.from != "" && operand != "" && operand != "-":
		return cli.Hint(cli.Misuse("%s: --from takes no bundle", operand), "- reads records from stdin")
	case cfg.from != "" && cfg.verifiedBy != "":
		return cli.Misuse("--verified-by is about a bundle, --from takes none")
	case cfg.verifiedBy != "" && (operand == "" || operand == "-" && cfg.verifiedBy == "-"):
		return cli.Hint(cli.Misuse("--verified-by needs the bundle as an operand"), "records on stdin bring their own bundle record")
	case len(cfg.platforms) > 0 && operand == "-" && cfg.from == "":
		return cli.Hint(cli.Misuse("--platform needs a bundle that can be read twice"), "name the file")
	case operand == "" && cfg.from == "" || operand == "-":
		if err := cli.CheckStdin(stdin); err != nil {
			if operand == "-" || len(cfg.aliases) == 0 {
				return err
			}
			stdin = strings.NewReader("") // names of what is there are all there is to give
		}
	}
	if err := cli.CheckProxies(); err != nil {
		return err
	}
	mem, err := newMemory(int64(cfg.memory))
	if err != nil {
		return err
	}
	// Pieces of the budget are used again and again; this keeps the rest, the
	// garbage of requests, from growing to the same size before it is collected.
	cli.LimitMemory(int64(cfg.memory) + overhead)
	return push(ctx, &cfg, mem, operand, stdin, stdout, stderr)
}

// registries returns the one that is pushed to, and the one that is copied from
// or nil.
func (c *config) registries(log *slog.Logger, progress *cli.Progress) (to, from *client.Registry, err error) {
	o := client.Options{
		At: c.to, Names: names("--to", ""), Username: c.username, PasswordFile: c.passwordFile, Push: true,
		PlainHTTP: c.plainHTTP, SkipVerify: c.skipVerify, CAFile: c.ca, Jobs: c.jobs, Timeout: c.answer,
		LoginFiles: cli.LoginFiles(), Agent: cli.Agent("oci-push"), Log: log,
		Notice: func(text string) { progress.Warn("%s", text) },
	}
	if to, err = client.New(o); err != nil || c.from == "" {
		return to, nil, err
	}
	o.At, o.Names, o.Username, o.PasswordFile, o.Push = c.from, names("--from", "from-"), c.fromUsername, c.fromPasswordFile, false
	from, err = client.New(o)
	return to, from, err
}

// names are the flags of one of the two registries.
func names(at, login string) client.Names {
	return client.Names{
		At: at, CA: "--ca", PlainHTTP: "--plain-http", Timeout: "--answer-timeout",
		Username: "--" + login + "username", PasswordFile: "--" + login + "password-file",
	}
}

// push runs from the first word with the registry to the summary.
func push(ctx context.Context, cfg *config, mem *memory, operand string, stdin io.Reader, stdout, stderr io.Writer) error {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	progress := cli.NewProgress("oci-push", stderr, cfg.common.Quiet)
	defer progress.Close()
	log := cli.Logger(progress, cfg.common.Verbose)
	reg, from, err := cfg.registries(log, progress)
	if err != nil {
		return err
	}
	if cfg.skipVerify {
		progress.Warn("the certificate of %s is not checked: anybody between here and there can read and change what is sent", reg.Host())
	}
	out := record.NewWriter(progress.Beside(stdout), cfg.format)
	in := pipe.Reader{Out: out, Own: []string{record.Image{}.Kind(), record.Rest{}.Kind()}, Wait: pipe.Waiting(progress.Warn, stdout)}
	guard := cfg.guard(operand, stdin, out, progress)
	ctx, stop, err := guard.Begin(ctx)
	defer stop()
	if err != nil {
		return err
	}
	b := pipe.Bundle{Path: operand}
	var promised promise
	undecided, err := guard.Open()
	if err != nil {
		return err
	}
	if undecided {
		promised = func(ctx context.Context, _ *bundle.Bundle) error { return guard.Settle(ctx) }
	}
	if cfg.verifiedBy != "" {
		v, err := readVerdict(ctx, cfg.verifiedBy, stdin, out, abort)
		if err != nil {
			return err
		}
		b.Hash = true
		promised = func(ctx context.Context, open *bundle.Bundle) error { return b.Named(v.keeps(ctx, open)) }
	}
	sel := newSelection(cfg.aliases, progress.Waiting)
	if operand == "" && from == nil {
		record.AcceptRest(stdin)
		go sel.read(ctx, in, stdin) // ends with stdin or the run
		// A bad word about the bundle comes before the first one to the registry.
		defer sel.watch(ctx)()
		if _, err := sel.nextBundle(ctx); err != nil {
			return err
		}
	}
	if err := connect(ctx, reg, from); err != nil {
		return err
	}
	p := &pusher{
		cfg: cfg, reg: reg, mem: mem, progress: progress, log: log,
		up:        newUploader(reg, cfg, log, abort),
		results:   newResults(out, progress, sel.total, sel.unlisted, cfg.aliases),
		published: make(map[string]string),
		givers:    make(map[string]*copier),
	}
	switch {
	case from != nil && operand == "-":
		err = p.copySelected(ctx, from, in, stdin)
	case from != nil:
		if err = guard.Settle(ctx); err == nil {
			err = p.copyAll(ctx, from)
		}
	case operand == "":
		err = p.selected(ctx, sel)
	default:
		err = p.everything(ctx, b, stdin, promised)
	}
	p.up.wg.Wait() // what was whole before an error is still published
	if err == nil {
		err = guard.Settle(ctx)
	}
	if err == nil && ctx.Err() == nil {
		err = p.giveAliases(ctx)
	}
	if ctx.Err() == nil {
		err = cmp.Or(err, p.checkPlatforms())
	}
	return progress.Final(p.results.close(ctx, err))
}

// connect asks the registries whether they are there and let us in.
func connect(ctx context.Context, registries ...*client.Registry) error {
	for _, r := range registries {
		if r == nil {
			continue
		}
		if err := r.Connect(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("registry %s: %w", r.Host(), err)
		}
	}
	if ctx.Err() != nil { // what ended the run matters more than what that made fail
		return context.Cause(ctx)
	}
	return nil
}
