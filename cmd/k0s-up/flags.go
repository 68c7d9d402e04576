package main

import (
	"cmp"
	"errors"
	"flag"
	"net/netip"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

// settings holds the values of flags and of the configuration file.
type settings struct {
	cli.Common
	cli.Registry

	plan, upgrade, reset, configCheck bool
	configInit                        bool // handled by cli.ParseFile
	join, token                       string

	online                       bool
	k0sVersion                   *k0s.Version
	k0s, k0sFrom, k0sImages      string
	api                          apiConfig
	network                      networkConfig
	storageType, etcdPeerAddress string
	k0sYAML                      string // template for k0s.yaml

	tokenFile       string
	expiry, timeout time.Duration
	ignore          []string
	yes, last       bool

	file fileConfig
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
	c.Format, c.k0sImages, c.expiry, c.timeout = record.NewFormat(record.Step{}).Table("STEP", "STATUS", "SECONDS", "NOTE"), imagesMirror, 24*time.Hour, 45*time.Minute
	fs := cli.NewFlagSet(tool, &c.Common)
	fs.BoolVar(&c.plan, "plan", false, "")
	cli.ChoiceVar(fs, &c.join, "join", k0s.RoleWorker, k0s.RoleController)
	cli.ChoiceVar(fs, &c.token, "token", k0s.RoleWorker, k0s.RoleController)
	fs.BoolVar(&c.upgrade, "upgrade", false, "")
	fs.BoolVar(&c.reset, "reset", false, "")
	fs.BoolVar(&c.configInit, "config-init", false, "")
	fs.BoolVar(&c.configCheck, "config-check", false, "")

	c.Registry.Flags(fs, "registry", client.FirstAnswer)
	fs.BoolVar(&c.online, "online", false, "")

	fs.StringVar(&c.k0s, "k0s", "", "")
	cli.Var(fs, &c.k0sVersion, "k0s-version", k0s.VersionFlag)
	fs.StringVar(&c.k0sFrom, "k0s-from", "", "")
	fs.StringVar(&c.k0sYAML, "k0s-yaml", "", "")
	cli.ChoiceVar(fs, &c.k0sImages, "k0s-images", imagesMirror, imagesRegistry)
	cli.Var(fs, &c.api.address, "api-address", parseAddress)
	fs.StringVar(&c.api.externalAddress, "api-external-address", "", "")
	cli.PortVar(fs, &c.api.port, "api-port", 1)
	cli.ListVar(fs, &c.api.sans, "san", verbatim)
	cli.ChoiceVar(fs, &c.network.provider, "network-provider", "kuberouter", "calico", "custom")
	cli.Var(fs, &c.network.podCIDR, "pod-cidr", parseNetwork)
	cli.Var(fs, &c.network.serviceCIDR, "service-cidr", parseNetwork)
	cli.ChoiceVar(fs, &c.storageType, "storage-type", "etcd", "kine")
	cli.Var(fs, &c.etcdPeerAddress, "etcd-peer-address", parseAddress)

	fs.StringVar(&c.tokenFile, "token-file", "", "")
	cli.DurationVar(fs, &c.expiry, "expiry")
	cli.DurationVar(fs, &c.timeout, "timeout")
	cli.ListVar(fs, &c.ignore, "ignore", step.ParseIgnored)
	fs.BoolVar(&c.yes, "yes", false, "")
	fs.BoolVar(&c.last, "last-controller", false, "")
	return fs
}

// check returns misuse if flags contradict each other.
func (c *settings) check() error {
	// The configuration file of a host that joined still has join.mode, and must
	// not keep it from other modes.
	if c.file.joins && (c.upgrade || c.reset || c.token != "") {
		c.join = ""
	}
	if err := cli.Exclusive([]string{"--upgrade", "--reset", "--join", "--token"}, c.upgrade, c.reset, c.join != "", c.token != ""); err != nil {
		return err
	}
	if err := cmp.Or(c.Registry.Check(), c.checkMode()); err != nil {
		return err
	}
	if c.At != "" {
		if _, err := client.ParseSite(client.SiteNames, c.At); err != nil {
			return err
		}
	}
	return cli.Absolute(&c.tokenFile, &c.k0s, &c.k0sFrom)
}

// checkMode returns misuse for a flag that requires another one.
func (c *settings) checkMode() error {
	switch {
	case c.last && !c.reset:
		return cli.Misuse("--last-controller requires --reset")
	case c.k0sFrom != "" && !c.upgrade:
		return cli.Hint(cli.Misuse("--k0s-from requires --upgrade"), "k0s-extract installs k0s on a host that has none")
	case c.k0sYAML != "" && c.join != k0s.RoleController:
		return cli.Misuse("--k0s-yaml requires --join controller")
	case c.expiry%time.Second != 0:
		return cli.Misuse("invalid --expiry %q: must be whole seconds", c.expiry)
	}
	return nil
}

// parseAddress parses an address that an interface can have.
func parseAddress(s string) (string, error) {
	if a, err := netip.ParseAddr(s); err != nil || a.IsUnspecified() || a.Zone() != "" {
		return "", errors.New("must be the address of an interface of this host")
	}
	return s, nil
}

func parseNetwork(s string) (string, error) {
	if p, err := netip.ParsePrefix(s); err != nil || p.Masked() != p {
		return "", errors.New("must be a network such as 10.244.0.0/16")
	}
	return s, nil
}

// verbatim returns s.
func verbatim(s string) (string, error) { return s, nil }
