// k0s-up makes a host a node of a k0s cluster: the first controller of a new one
// or a worker or controller that joins. It also upgrades k0s, makes join tokens,
// and removes the host from its cluster.
//
// Before it writes the first file it checks the host, k0s, its configuration, its
// ports, containerd's mirrors, and that the registry has k0s's images. Then it
// works in steps, each of which checks the current state and does what is missing,
// so the next run completes one that was killed at any instant. Its last record
// describes the cluster, for k0rdent-install.
//
// It lists the files it wrote in /var/lib/k0rdentd/install.json, so that --reset
// can remove them.
//
// It edits k0s.yaml with go.yaml.in/yaml/v3, which keeps an operator's comments and
// order, and interprets it with sigs.k8s.io/yaml, as k0s does.
package main

import (
	"context"
	"io"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/config"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

const tool = "k0s-up"

func main() { cli.Main(tool, run) }

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
	u := &up{
		cfg: cfg, host: h, stdin: stdin, stderr: stderr, Problems: step.Problems{Ignore: cfg.ignore},
		Runner: step.NewRunner(tool, cfg.Common, cfg.plan, stdout, stderr),
	}
	defer u.Progress.Close()
	for _, w := range cfg.file.warnings {
		u.Progress.Warn("%s", w)
	}
	if cfg.configCheck {
		return u.Out.Write(record.Step{Name: "config", Status: record.StatusUnchanged, Detail: cli.Source(fs, cfg.file.read) + " is valid"})
	}
	return cli.Named(fs, u.run(ctx))
}
