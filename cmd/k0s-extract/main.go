// k0s-extract puts k0s on this host, or packs what another host needs to join.
//
// It takes k0s out of its image in a bundle, as the bundle passes, or out of
// that image in a registry, from a file, or from itself where the build carries
// one. The only bytes that it writes are those of the file that it puts in
// place, under another name until they are known to be right; a run that was
// killed leaves at most that other name behind, which the next one removes.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

const usage = `usage: k0s-extract [flags] BUNDLE
       k0s-extract --from FILE|HOST[:PORT]/.../k0sproject/k0s[:TAG] [flags]
       k0s-extract --from HOST[:PORT][/PREFIX] [flags] - <RECORDS
       bundle-verify ... | k0s-extract [flags]
       k0s-extract --export DIR|FILE.tar.gz|- --mirror URL [flags] [BUNDLE]

Put k0s on this host, as one file record; or pack what another host needs.
BUNDLE is a tar.gz, tar.zst, tar, a directory, or "-": its bytes come on stdin.
Without an operand, records on stdin name the bundle; with --from and "-", those
of oci-push name the images in the registry. All records pass on.

  --to FILE                   where to (default /usr/local/bin/k0s)
  --name                      --to is a directory: put k0s-VERSION-ARCH there, of
                              every version, for child clusters
  --from FILE|REFERENCE       take k0s from a file or a registry; "embedded": from
                              this program itself
  --platform OS/ARCH[,...]    what k0s is to run on (default this machine; more
                              than one with --name, by default all that records
                              of oci-push list)
  --k0s-version VERSION       this version, instead of the newest
  --replace                   replace a k0s that runs, is newer, or is none
  --plan                      tell what would be written, and write nothing
  --export DIR|FILE.tar.gz|-  pack k0s and all that a host needs to join
  --role ROLE                 of that host: worker (default), controller or
                              controller+worker
  --mirror URL                registry that it pulls from; several in their order
  --mirror-username NAME      user at the mirrors
  --mirror-password-file FILE file that holds that user's password
  --token-file FILE           join token to pack, made by k0s token create
  --k0s-yaml FILE             configuration that all controllers share
  --ca FILE                   certificate authority of registry and mirrors, in PEM
  --plain-http                speak HTTP to the registry of --from
  --answer-timeout DURATION   how long to wait for its first answer (default 30s)
  --username NAME             user at the registry of --from
  --password-file FILE        file that holds the user's password
  --flavor                    print which build this is, and which k0s it carries
  --format FORMAT             json (default), table, or a template: '{{.version}}'
  --quiet                     no progress, warnings and errors only
  --verbose                   log what is done to stderr
  --config FILE               read flags from FILE, one 'name value' a line
  --help                      print this text
  --version                   print the version

Every flag is also a variable: K0S_EXTRACT_TO for --to.
Exit codes: 0 in place, 1 not, 2 misuse, 75 registry unreachable,
130 interrupted.

  bundle-verify --key cosign.pub bundle.tgz | k0s-extract
  k0s-extract --export worker.tar.gz --mirror https://10.0.0.5:5000 --ca ca.crt bundle.tgz
`

// config is what the flags say.
type config struct {
	common cli.Common
	format *record.Format

	to        string
	name      bool
	from      string
	platforms oci.Platforms // empty: this machine's
	version   version
	replace   bool
	plan      bool
	flavor    bool

	export packing

	ca           string
	plainHTTP    bool
	answer       time.Duration
	username     string
	passwordFile string
}

func (c *config) flags() *flag.FlagSet {
	fs := cli.NewFlagSet("k0s-extract", &c.common)
	c.format = record.NewFormat(record.File{})
	fs.StringVar(&c.to, "to", "", "where to")
	fs.BoolVar(&c.name, "name", false, "put k0s-VERSION-ARCH into the directory --to")
	fs.StringVar(&c.from, "from", "", "take k0s from a file or a registry")
	fs.Var(&c.platforms, "platform", "what k0s is to run on")
	fs.Var(&c.version, "k0s-version", "this version, instead of the newest")
	fs.BoolVar(&c.replace, "replace", false, "replace a k0s that runs, is newer, or is none")
	fs.BoolVar(&c.plan, "plan", false, "tell what would be written, and write nothing")
	fs.BoolVar(&c.flavor, "flavor", false, "print which build this is")
	c.export.flags(fs)
	fs.StringVar(&c.ca, "ca", "", "certificate authority of registry and mirrors")
	fs.BoolVar(&c.plainHTTP, "plain-http", false, "speak HTTP")
	fs.DurationVar(&c.answer, "answer-timeout", client.FirstAnswer, "how long to wait for a registry's first answer")
	fs.StringVar(&c.username, "username", "", "user at the registry")
	fs.StringVar(&c.passwordFile, "password-file", "", "file that holds the user's password")
	fs.Var(c.format, "format", "json, table or a template")
	return fs
}

// checkPlatforms wants those that there is a k0s for, and one of each architecture,
// by which files are told apart.
func (c *config) checkPlatforms() error {
	seen := make(map[string]bool)
	for _, p := range c.platforms {
		if p.OS != "linux" || machines()[p.Architecture] == 0 {
			return cli.Misuse("--platform %s: want linux/ and one of amd64, arm64, arm, riscv64", p)
		}
		if seen[p.Architecture] {
			return cli.Misuse("--platform: %s is there twice", p.Architecture)
		}
		seen[p.Architecture] = true
	}
	return nil
}

// check finds contradictions, and fills in what is not said.
func (c *config) check(operand string) error {
	switch {
	case operand != "" && c.from != "" && !c.isPushed(operand):
		return cli.Hint(cli.Misuse("%s: --from takes no bundle", operand), "leave one of the two out; - reads records if --from is HOST[:PORT][/PREFIX]")
	case c.export.to != "" && (c.to != "" || c.name):
		return cli.Misuse("--export has a place of its own: neither --to nor --name goes with it")
	case c.name && c.to == "":
		return cli.Hint(cli.Misuse("--name needs a directory"), "give it with --to; oci-serve hands out what is in k0s below its storage")
	case len(c.platforms) > 1 && !c.name:
		return cli.Hint(cli.Misuse("one file is for one platform"), "--name puts several side by side")
	case len(c.platforms) > 1 && c.from != "" && !c.registry() && operand == "":
		return cli.Misuse("--from %s is for one platform", c.from)
	}
	if err := c.checkPlatforms(); err != nil {
		return err
	}
	if len(c.platforms) == 0 && !(c.name && c.isPushed(operand)) {
		c.platforms = oci.Platforms{here()}
	}
	if c.to == "" {
		c.to = k0s.BinaryPath
	}
	var err error
	if c.to, err = filepath.Abs(c.to); err != nil {
		return err
	}
	if _, _, err := parseFrom(c.from); err != nil {
		return err
	}
	return c.export.check(c)
}

func (c *config) registry() bool {
	_, ok, _ := parseFrom(c.from)
	return ok
}

func main() { cli.Main("k0s-extract", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return runAs(ctx, self(), args, stdin, stdout, stderr)
}

// runAs is run for a build that carries a k0s, or none.
func runAs(ctx context.Context, own embedded, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	if err := cli.Parse(fs, args, usage, stdout, 1); err != nil {
		return err
	}
	if cfg.flavor {
		return own.describe(stdout)
	}
	operand := fs.Arg(0)
	if err := cfg.check(operand); err != nil {
		return err
	}
	if err := cfg.export.checkOutput(stdout); err != nil {
		return err
	}
	progress := cli.NewProgress("k0s-extract", stderr, cfg.common.Quiet)
	defer progress.Close()
	out := record.NewWriter(progress.Beside(stdout), cfg.format)
	if cfg.export.to == "-" {
		out = record.NewWriter(io.Discard, nil)
	}
	w := &wish{
		platforms: cfg.platforms, version: cfg.version.Version, every: cfg.name,
		told:     cfg.name || cfg.export.to != "",
		progress: progress, log: cli.Logger(progress, cfg.common.Verbose),
	}
	guard := cfg.guard(operand, stdin, out, progress)
	ctx, stop, err := guard.Begin(ctx)
	defer stop()
	if err != nil {
		return err
	}
	w.sink = cfg.sinks(ctx)
	have, err := w.gather(ctx, &cfg, own, operand, stdin, pipe.Reader{Out: out, Wait: pipe.Waiting(progress.Warn, stdout)})
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
	if cfg.export.to != "" {
		if have[0].err != nil {
			return have[0].err
		}
		return cfg.export.pack(ctx, have[0], stdout, out, cfg.plan)
	}
	return cfg.place(have, out, progress)
}

// sinks gives the function that makes the sink for what is found.
func (c *config) sinks(ctx context.Context) func(*k0s.Version, v1.Platform) sink {
	if c.export.to != "" {
		return func(*k0s.Version, v1.Platform) sink { return c.export.sink(c.plan) }
	}
	return func(v *k0s.Version, p v1.Platform) sink {
		path := c.path(v, p)
		return newHostSink(path, c.plan, func() error {
			if c.replace {
				return nil
			}
			return guard{ctx, path, v, c.name}.refuse()
		})
	}
}

// path gives where a k0s goes. With --name its version is known.
func (c *config) path(v *k0s.Version, p v1.Platform) string {
	if !c.name || v == nil {
		return c.to
	}
	return filepath.Join(c.to, v.FileName(p.Architecture))
}

// place puts what was found where it belongs.
func (c *config) place(have []found, out *record.Writer, progress *cli.Progress) error {
	var failed error
	failures := 0
	for _, f := range have {
		r, err := record.File{}, f.err
		if err == nil {
			r, err = f.sink.(*hostSink).commit()
		} else {
			r.Status, r.Error = record.StatusFailed, err.Error()
		}
		about := f.file(c.path(f.version, f.platform))
		r.Path, r.Version, r.Platform, r.Source = about.Path, about.Version, about.Platform, about.Source
		if err != nil {
			failures++
			failed = err
			if len(have) > 1 {
				progress.Warn("%s: %v", r.Path, err)
			}
		}
		if err := out.Write(r); err != nil {
			return err
		}
	}
	if failures > 0 && len(have) > 1 {
		return fmt.Errorf("%d of %d failed", failures, len(have))
	}
	return failed
}
