// k0s-up makes a host a node of a k0s cluster: the first controller of a new one
// or a worker or controller that joins. It also upgrades k0s, makes join tokens,
// and removes the host from its cluster.
//
// Before the first file is written it has checked the host, k0s, its
// configuration, its ports, containerd's mirrors and that the registry has k0s's
// images. Then it works in steps, each of which checks the current state and does
// what is missing, so that a run that was killed at any instant is completed by
// the next one. Its last record is that of the cluster, from which k0rdent-install
// goes on.
//
// What it wrote is noted in /var/lib/k0rdentd/install.json, by which --reset
// knows what is its own.
//
// YAML is read with go.yaml.in/yaml/v3, which keeps an operator's comments and
// order where k0s.yaml is edited, and with sigs.k8s.io/yaml where it must mean
// what k0s takes it for.
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
	u := &up{
		cfg: cfg, host: h, stdin: stdin, stderr: stderr, Problems: step.Problems{Ignore: cfg.ignore},
		Runner: step.NewRunner(tool, cfg.Common, cfg.plan, cfg.format, stdout, stderr),
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
