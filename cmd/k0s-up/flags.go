package main

import (
	"flag"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

// settings are what flags, environment and configuration file say.
type settings struct {
	cli.Common
	cli.Registry
	format *record.Format

	plan, upgrade, reset, configCheck bool
	configInit                        bool // run knows it before flags are parsed
	join, token                       string

	online                              bool
	k0s, k0sVersion, k0sFrom, k0sImages string
	api                                 apiConfig
	network                             networkConfig
	storageType, etcdPeerAddress        string
	k0sYAML                             string // to start from

	tokenFile       string
	expiry, timeout time.Duration
	ignore          []string
	yes, last       bool

	file fileConfig // what only the file can say
}

type apiConfig struct {
	address, externalAddress string
	port                     int
	sans                     []string
}

type networkConfig struct{ provider, podCIDR, serviceCIDR string }

// Values of flags.
const (
	imagesMirror   = "mirror"
	imagesRegistry = "registry"
)

func (c *settings) flags() *flag.FlagSet {
	fs := cli.NewFlagSet(tool, &c.Common)
	c.format = record.NewFormat(record.Step{})
	fs.BoolVar(&c.plan, "plan", false, "")
	fs.StringVar(&c.join, "join", "", "")
	fs.StringVar(&c.token, "token", "", "")
	fs.BoolVar(&c.upgrade, "upgrade", false, "")
	fs.BoolVar(&c.reset, "reset", false, "")
	fs.BoolVar(&c.configInit, "config-init", false, "")
	fs.BoolVar(&c.configCheck, "config-check", false, "")

	c.Registry.Flags(fs, client.FirstAnswer)
	fs.BoolVar(&c.online, "online", false, "")

	fs.StringVar(&c.k0s, "k0s", "", "")
	fs.StringVar(&c.k0sVersion, "k0s-version", "", "")
	fs.StringVar(&c.k0sFrom, "k0s-from", "", "")
	fs.StringVar(&c.k0sYAML, "k0s-yaml", "", "")
	fs.StringVar(&c.k0sImages, "k0s-images", imagesMirror, "")
	fs.StringVar(&c.api.address, "api-address", "", "")
	fs.StringVar(&c.api.externalAddress, "api-external-address", "", "")
	fs.IntVar(&c.api.port, "api-port", 0, "")
	cli.ListVar(fs, &c.api.sans, "san", verbatim)
	fs.StringVar(&c.network.provider, "network-provider", "", "")
	fs.StringVar(&c.network.podCIDR, "pod-cidr", "", "")
	fs.StringVar(&c.network.serviceCIDR, "service-cidr", "", "")
	fs.StringVar(&c.storageType, "storage-type", "", "")
	fs.StringVar(&c.etcdPeerAddress, "etcd-peer-address", "", "")

	fs.StringVar(&c.tokenFile, "token-file", "", "")
	fs.DurationVar(&c.expiry, "expiry", 24*time.Hour, "")
	fs.DurationVar(&c.timeout, "timeout", 45*time.Minute, "")
	cli.ListVar(fs, &c.ignore, "ignore", step.ParseIgnored)
	fs.BoolVar(&c.yes, "yes", false, "")
	fs.BoolVar(&c.last, "last-controller", false, "")
	fs.Var(c.format, "format", "")
	return fs
}

// modes lists what was asked for besides the default, to bring up a cluster.
func (c *settings) modes() []string {
	return cli.Chosen([]string{"--upgrade", "--reset", "--join", "--token"}, c.upgrade, c.reset, c.join != "", c.token != "")
}

// check returns what does not fit, before anything is looked at.
func (c *settings) check() error {
	// A host that joins keeps that in its configuration file, beside which
	// other things can be asked of it.
	if c.file.joins && len(c.modes()) > 1 {
		c.join = ""
	}
	if m := c.modes(); len(m) > 1 {
		return cli.Misuse("%s are mutually exclusive", strings.Join(m, " and "))
	}
	for _, check := range []func() error{c.checkChoices, c.Registry.Check, c.checkNetwork, c.checkMode} {
		if err := check(); err != nil {
			return err
		}
	}
	if c.At != "" {
		if _, err := client.ParseSite(client.SiteNames, c.At); err != nil {
			return err
		}
	}
	return cli.Absolute(&c.tokenFile, &c.k0s, &c.k0sFrom)
}

func (c *settings) checkChoices() error {
	for _, f := range []struct {
		flag, value, wanted string
		values              []string
	}{
		{"--join", c.join, "worker or controller", []string{"", k0s.RoleWorker, k0s.RoleController}},
		{"--token", c.token, "worker or controller", []string{"", k0s.RoleWorker, k0s.RoleController}},
		{"--k0s-images", c.k0sImages, "mirror or registry", []string{imagesMirror, imagesRegistry}},
		{"--network-provider", c.network.provider, "kuberouter, calico or custom", []string{"", "kuberouter", "calico", "custom"}},
		{"--storage-type", c.storageType, "etcd or kine", []string{"", "etcd", "kine"}},
	} {
		if !slices.Contains(f.values, f.value) {
			return cli.Misuse("%s %q: must be %s", f.flag, f.value, f.wanted)
		}
	}
	if c.k0sVersion != "" {
		v, err := k0s.ParseVersion(c.k0sVersion)
		if err != nil {
			return cli.Misuse("--k0s-version: %w", err)
		}
		c.k0sVersion = v.String()
	}
	return nil
}

func (c *settings) checkNetwork() error {
	for flag, value := range map[string]string{"--api-address": c.api.address, "--etcd-peer-address": c.etcdPeerAddress} {
		if value == "" {
			continue
		}
		a, err := netip.ParseAddr(value)
		if err != nil || a.IsUnspecified() || a.Zone() != "" {
			return cli.Misuse("%s %q: must be the address of an interface of this host", flag, value)
		}
	}
	for flag, value := range map[string]string{"--pod-cidr": c.network.podCIDR, "--service-cidr": c.network.serviceCIDR} {
		if value == "" {
			continue
		}
		p, err := netip.ParsePrefix(value)
		if err != nil || p.Masked() != p {
			return cli.Misuse("%s %q: must be a network such as 10.244.0.0/16", flag, value)
		}
	}
	if c.api.port < 0 || c.api.port > math.MaxUint16 {
		return cli.Misuse("--api-port %d: must be a number from 1 to %d", c.api.port, math.MaxUint16)
	}
	return nil
}

// checkMode returns which flags do not go with what was asked for.
func (c *settings) checkMode() error {
	switch {
	case c.last && !c.reset:
		return cli.Misuse("--last-controller requires --reset")
	case c.k0sFrom != "" && !c.upgrade:
		return cli.Hint(cli.Misuse("--k0s-from requires --upgrade"), "k0s-extract puts k0s on a host that has none")
	case c.k0sYAML != "" && c.join != k0s.RoleController:
		return cli.Misuse("--k0s-yaml requires --join controller")
	case c.expiry <= 0 || c.expiry%time.Second != 0:
		return cli.Misuse("--expiry %v: must be whole seconds, such as 24h", c.expiry)
	case c.timeout <= 0:
		return cli.Misuse("--timeout %v: must be a time such as 45m", c.timeout)
	}
	return nil
}

// verbatim is the parser of a text.
func verbatim(s string) (string, error) { return s, nil }
