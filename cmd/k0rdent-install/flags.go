package main

import (
	"errors"
	"flag"
	"os"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/strvals"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

// settings holds the values of flags and of the configuration file.
type settings struct {
	cli.Common
	cli.Registry

	plan, rehearse, upgrade, uninstall, printValues, configCheck bool
	configInit                                                   bool // handled by cli.ParseFile

	kubeconfig                          string
	online                              bool
	chart, release, releaseFile, k0sURL string

	values, sets []string
	credentials  string
	atomic       bool

	timeout, helmTimeout time.Duration
	ignore               []string
	yes                  bool

	file fileConfig
}

// Values of flags.
const (
	defaultChart   = "charts/k0rdent-enterprise"
	publicRegistry = "registry.mirantis.com/k0rdent-enterprise"
)

func (c *settings) flags() *flag.FlagSet {
	c.Format, c.timeout, c.helmTimeout = record.NewFormat(record.Step{}, record.Finding{}).Table("STEP", "STATUS", "SECONDS", "NOTE"), 45*time.Minute, 20*time.Minute
	fs := cli.NewFlagSet(tool, &c.Common)
	fs.BoolVar(&c.plan, "plan", false, "")
	fs.BoolVar(&c.rehearse, "rehearse", false, "")
	fs.BoolVar(&c.upgrade, "upgrade", false, "")
	fs.BoolVar(&c.uninstall, "uninstall", false, "")
	fs.BoolVar(&c.printValues, "print-values", false, "")
	fs.BoolVar(&c.configInit, "config-init", false, "")
	fs.BoolVar(&c.configCheck, "config-check", false, "")

	fs.StringVar(&c.kubeconfig, "kubeconfig", "", "")
	c.Registry.Flags(fs, "registry", client.FirstAnswer)
	fs.BoolVar(&c.online, "online", false, "")
	fs.StringVar(&c.chart, "chart", defaultChart, "")
	fs.StringVar(&c.release, "release", "", "")
	fs.StringVar(&c.releaseFile, "release-file", "", "")

	fs.Func("values", "", func(s string) error { c.values = append(c.values, s); return nil })
	fs.Func("set", "", c.addSet)
	fs.StringVar(&c.credentials, "credentials", "", "")
	fs.StringVar(&c.k0sURL, "k0s-url", "", "")
	fs.BoolVar(&c.atomic, "atomic", false, "")

	cli.DurationVar(fs, &c.timeout, "timeout")
	cli.DurationVar(fs, &c.helmTimeout, "helm-timeout")
	cli.ListVar(fs, &c.ignore, "ignore", step.ParseIgnored)
	fs.BoolVar(&c.yes, "yes", false, "")
	addGone(fs)
	return fs
}

// addSet adds a value of --set.
func (c *settings) addSet(s string) error {
	if err := strvals.ParseInto(s, map[string]any{}); err != nil || !strings.Contains(s, "=") {
		return errors.New("must be PATH=VALUE")
	}
	c.sets = append(c.sets, s)
	return nil
}

// check returns misuse if flags contradict each other.
func (c *settings) check() error {
	if err := cli.Exclusive([]string{"--rehearse", "--upgrade", "--uninstall", "--print-values"}, c.rehearse, c.upgrade, c.uninstall, c.printValues); err != nil {
		return err
	}
	if err := cli.Exclusive([]string{"--rehearse", "--plan", "--online"}, c.rehearse, c.plan && c.rehearse, c.online && c.rehearse); err != nil {
		return err
	}
	switch {
	case c.file.worker && c.kubeconfig == "" && !c.printValues && !c.rehearse && !c.configCheck:
		return cli.Hint(cli.Misuse("join.mode is worker in the configuration file, and a worker has no access to the cluster"),
			"run k0rdent-install on a controller, or set --kubeconfig")
	case c.releaseFile != "" && !c.upgrade:
		return cli.Misuse("--release-file requires --upgrade")
	case c.printValues && c.plan:
		return cli.Misuse("--print-values and --plan are mutually exclusive")
	}
	for _, name := range c.values {
		if _, err := os.Stat(name); err != nil {
			return cli.Misuse("--values: %w", err)
		}
	}
	if err := c.Registry.Check(); err != nil {
		return err
	}
	if c.At != "" {
		if _, err := client.ParseSite(client.SiteNames, c.At); err != nil {
			return err
		}
	}
	return cli.Absolute(&c.credentials, &c.releaseFile, &c.kubeconfig)
}
