// k0rdent-install installs, upgrades and removes k0rdent on a Kubernetes cluster,
// with every image and chart from the site's registry.
//
// The cluster is that of a record of k0s-up, of this host, or of any kubeconfig.
// Before it creates the first object, it looks up everything that the platform will
// pull from the registry, and lists what is missing. Then it works in steps, each of
// which checks the current state and does what is missing, so the next run completes
// one that was killed at any instant.
//
// It parses YAML with sigs.k8s.io/yaml, as Helm does.
package main

import (
	"context"
	"io"
	"log"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/config"
	"k0rdent-airgap/lib/step"
)

const tool = "k0rdent-install"

func main() {
	// Helm repeatedly logs values whose type differs from the chart's. Ours and the
	// operator's are meant to differ, and the chart's schema rejects invalid ones.
	log.SetOutput(io.Discard)
	cli.Main(tool, run)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return runOn(ctx, hostBelow(""), args, stdin, stdout, stderr)
}

// runOn is run with the paths of a host, which tests replace.
func runOn(ctx context.Context, h host, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	cfg := &settings{}
	fs := cfg.flags()
	if err := cli.ParseFile(fs, args, usage, stdout, 0, cli.File{Default: h.config, Parse: cfg.parseFile, Template: config.Template}); err != nil {
		return err
	}
	if err := cfg.check(); err != nil {
		return cli.Named(fs, err)
	}
	if cfg.rehearse {
		cfg.Format.Table("SUBJECT", "STATUS", "NOTE")
	}
	i := &installer{
		cfg: cfg, host: h, stdin: stdin, stderr: stderr, Problems: step.Problems{Ignore: cfg.ignore},
		Runner: step.NewRunner(tool, cfg.Common, cfg.plan, stdout, stderr),
	}
	defer i.Progress.Close()
	for _, w := range cfg.file.warnings {
		i.Progress.Warn("%s", w)
	}
	if cfg.configCheck {
		return i.checkConfig(fs)
	}
	return cli.Named(fs, i.run(ctx, stdout))
}
