// k0rdent-install takes a host with k0s on disk to a running cluster on which
// k0rdent is ready, with every image and chart from the site's registry.
//
// It reads records, and the registry; it asks k0s about itself. Before the
// first file is written it has found out whether everything is there that the
// cluster and the platform will ask for, and lists what is not. Then it works
// in steps, each of which looks at what is there and does what is missing, so
// that a run which was killed at any instant is completed by the next one.
//
// What it wrote is noted in /var/lib/k0rdentd/install.json, by which
// --uninstall knows what is its own.
//
// YAML is read with go.yaml.in/yaml/v3, which keeps an operator's comments and
// order where k0s.yaml is edited, and with sigs.k8s.io/yaml where it must mean
// what k0s and Helm take it for.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"slices"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

const tool = "k0rdent-install"

func main() {
	// Helm tells on the standard logger, many times over, of values that have
	// another shape than the chart's: ours and an operator's are meant to win,
	// and what does not fit fails against the chart's schema.
	log.SetOutput(io.Discard)
	cli.Main(tool, run)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return runOn(ctx, thisHost(), args, stdin, stdout, stderr)
}

// runOn is run on a host whose files lie somewhere.
func runOn(ctx context.Context, h host, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	// The file that this one makes would have to be right for it to be made.
	if slices.Contains(args, "--config-init") || slices.Contains(args, "-config-init") {
		_, err := io.WriteString(stdout, configTemplate)
		return err
	}
	cfg := &config{}
	fs := cfg.flags()
	if err := cli.ParseFile(fs, args, usage, stdout, 0, cli.File{Default: h.config, Parse: cfg.parseFile}); err != nil {
		return err
	}
	if err := cfg.check(); err != nil {
		return err
	}
	progress := cli.NewProgress(tool, stderr, cfg.Quiet)
	defer progress.Close()
	for _, w := range cfg.file.warnings {
		progress.Warn("%s", w)
	}
	i := &installer{
		cfg: cfg, host: h, stdin: stdin, stderr: stderr, progress: progress,
		out: record.NewWriter(progress.Beside(stdout), cfg.format),
		log: cli.Logger(progress, cfg.Verbose),
	}
	if cfg.configCheck {
		if _, err := cfg.userValues(); err != nil {
			return err
		}
		if _, err := cfg.readCredentials(); err != nil {
			return err
		}
		return i.out.Write(record.Step{Name: "config", Status: record.StatusUnchanged, Detail: fmt.Sprintf("%s is fine", cfg.describeFile(fs))})
	}
	return i.run(ctx, stdout)
}
