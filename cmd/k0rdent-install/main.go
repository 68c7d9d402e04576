// k0rdent-install installs, upgrades and removes k0rdent on a Kubernetes cluster,
// with every image and chart from the site's registry.
//
// The cluster is the one of a record of k0s-up, of this host, or of any
// kubeconfig. Before the first object is created, everything that the platform
// will ask the registry for has been looked up there, and what is not there is
// listed. Then the work is done in steps, each of which checks the current state
// and does what is missing, so that a run that was killed at any instant is
// completed by the next one.
//
// YAML is read with sigs.k8s.io/yaml where it must mean what Helm takes it for.
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
	// Helm reports on the standard logger, many times over, values that have
	// another shape than the chart's: ours and an operator's are meant to win,
	// and what does not fit fails against the chart's schema.
	log.SetOutput(io.Discard)
	cli.Main(tool, run)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return runOn(ctx, hostBelow(""), args, stdin, stdout, stderr)
}

// runOn is run on a host whose files lie below a directory.
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
		cfg.format.Table("SUBJECT", "STATUS", "NOTE")
	}
	i := &installer{
		cfg: cfg, host: h, stdin: stdin, stderr: stderr, Problems: step.Problems{Ignore: cfg.ignore},
		Runner: step.NewRunner(tool, cfg.Common, cfg.plan, cfg.format, stdout, stderr),
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
