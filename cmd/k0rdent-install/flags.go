// One file: the flags, and the checks of what they say together.

package main

import (
	"flag"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

// config is what flags, environment and configuration file say.
type config struct {
	cli.Common
	format *record.Format

	plan, upgrade, uninstall, printValues, configCheck bool
	configInit                                         bool // run knows it before flags are parsed
	join, token                                        string

	registry, ca, username, passwordFile string
	plainHTTP, singleHost, online        bool
	chart, release, releaseFile, k0sURL  string

	values, sets list
	credentials  string
	atomic       bool

	k0s, k0sVersion, k0sDownload, k0sFrom, k0sImages string
	replaceK0s                                       bool
	api                                              apiConfig
	network                                          networkConfig
	storageType, etcdPeerAddress                     string

	tokenFile                    string
	expiry                       time.Duration
	timeout, helmTimeout, answer time.Duration
	ignore                       words
	yes, purge, last             bool

	file fileConfig // what only the file can say
}

type apiConfig struct {
	address, externalAddress string
	port                     int
	sans                     words
}

type networkConfig struct{ provider, podCIDR, serviceCIDR string }

// list is a flag that may be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }
func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

// words is a flag that may be repeated or have several values with commas.
type words []string

func (w *words) String() string { return strings.Join(*w, ",") }
func (w *words) Set(s string) error {
	for _, word := range strings.Split(s, ",") {
		if word = strings.TrimSpace(word); word != "" {
			*w = append(*w, word)
		}
	}
	return nil
}

// Values of flags.
const (
	imagesMirror   = "mirror"
	imagesRegistry = "registry"

	defaultChart   = "charts/k0rdent-enterprise"
	publicRegistry = "registry.mirantis.com/k0rdent-enterprise"
	k0sReleases    = "https://github.com/k0sproject/k0s/releases/download"
)

func (c *config) flags() *flag.FlagSet {
	fs := cli.NewFlagSet(tool, &c.Common)
	c.format = record.NewFormat(record.Step{})
	fs.BoolVar(&c.plan, "plan", false, "touch nothing, show what would be done")
	fs.BoolVar(&c.upgrade, "upgrade", false, "bring a running site to another release")
	fs.BoolVar(&c.uninstall, "uninstall", false, "remove k0rdent, k0s and our own files")
	fs.StringVar(&c.join, "join", "", "join a cluster as `ROLE`")
	fs.StringVar(&c.token, "token", "", "make a token for `ROLE`")
	fs.BoolVar(&c.printValues, "print-values", false, "show the values for the chart")
	fs.BoolVar(&c.configInit, "config-init", false, "print a configuration file")
	fs.BoolVar(&c.configCheck, "config-check", false, "check the configuration file and flags")

	fs.StringVar(&c.registry, "registry", "", "`HOST[:PORT][/PREFIX]` of the registry")
	fs.StringVar(&c.ca, "ca", "", "authorities of the registry in `FILE`")
	fs.StringVar(&c.username, "username", "", "log in to the registry as `NAME`")
	fs.StringVar(&c.passwordFile, "password-file", "", "the password in `FILE`")
	fs.BoolVar(&c.plainHTTP, "plain-http", false, "the registry speaks HTTP")
	fs.DurationVar(&c.answer, "answer-timeout", client.FirstAnswer, "wait `DURATION` for the registry's first answer")
	fs.BoolVar(&c.singleHost, "single-host-test", false, "let the registry be localhost")
	fs.BoolVar(&c.online, "online", false, "use the public registries")
	fs.StringVar(&c.chart, "chart", defaultChart, "`REPOSITORY` of the platform's chart")
	fs.StringVar(&c.release, "release", "", "install `VERSION`")
	fs.StringVar(&c.releaseFile, "release-file", "", "the new Release object in `FILE`")

	fs.Var(&c.values, "values", "values for the chart in `FILE`")
	fs.Var(&c.sets, "set", "one value: `PATH=VALUE`")
	fs.StringVar(&c.credentials, "credentials", "", "cloud credentials in `FILE`")
	fs.StringVar(&c.k0sURL, "k0s-url", "", "`URL` where child clusters fetch k0s")
	fs.BoolVar(&c.atomic, "atomic", false, "take a chart away that did not install")
	c.k0sFlags(fs)

	fs.StringVar(&c.tokenFile, "token-file", "", "the token in `FILE`")
	fs.DurationVar(&c.expiry, "expiry", 24*time.Hour, "how long a new token is good")
	fs.DurationVar(&c.timeout, "timeout", 45*time.Minute, "how long to wait")
	fs.DurationVar(&c.helmTimeout, "helm-timeout", 20*time.Minute, "how long each part may take")
	fs.Var(&c.ignore, "ignore", "let `CHECK` only warn")
	fs.BoolVar(&c.yes, "yes", false, "do not ask")
	fs.BoolVar(&c.purge, "purge", false, "remove the registry's storage, too")
	fs.BoolVar(&c.last, "last-controller", false, "no other controller is left")
	fs.Var(c.format, "format", "json, table or a template")
	return fs
}

// k0sFlags has the flags about k0s.
func (c *config) k0sFlags(fs *flag.FlagSet) {
	fs.StringVar(&c.k0s, "k0s", "", "the k0s program: `FILE`")
	fs.StringVar(&c.k0sVersion, "k0s-version", "", "the version that k0s must have")
	fs.StringVar(&c.k0sDownload, "k0s-download", k0sReleases, "`URL` of k0s's releases")
	fs.BoolVar(&c.replaceK0s, "replace-k0s", false, "replace a k0s of another version")
	fs.StringVar(&c.k0sFrom, "k0s-from", "", "the new k0s: `FILE`")
	fs.StringVar(&c.k0sImages, "k0s-images", imagesMirror, "mirror or registry")
	fs.StringVar(&c.api.address, "api-address", "", "`IP` of this host")
	fs.StringVar(&c.api.externalAddress, "api-external-address", "", "`HOST` of a load balancer")
	fs.IntVar(&c.api.port, "api-port", 0, "`PORT` of the Kubernetes API")
	fs.Var(&c.api.sans, "san", "further `NAME` of the API")
	fs.StringVar(&c.network.provider, "network-provider", "", "kuberouter, calico or custom")
	fs.StringVar(&c.network.podCIDR, "pod-cidr", "", "network of the pods")
	fs.StringVar(&c.network.serviceCIDR, "service-cidr", "", "network of the services")
	fs.StringVar(&c.storageType, "storage-type", "", "etcd or kine")
	fs.StringVar(&c.etcdPeerAddress, "etcd-peer-address", "", "`IP` for other etcd members")
}

// modes lists what was asked for beside the default, an installation.
func (c *config) modes() []string {
	var asked []string
	for _, m := range []struct {
		name string
		on   bool
	}{
		{"--upgrade", c.upgrade}, {"--uninstall", c.uninstall}, {"--join", c.join != ""},
		{"--token", c.token != ""}, {"--print-values", c.printValues},
	} {
		if m.on {
			asked = append(asked, m.name)
		}
	}
	return asked
}

// check tells what does not fit, before anything is looked at.
func (c *config) check() error {
	// A host that joins keeps that in its configuration file, beside which
	// other things can be asked of it.
	if c.file.joins && len(c.modes()) > 1 {
		c.join = ""
	}
	if m := c.modes(); len(m) > 1 {
		return cli.Misuse("%s are mutually exclusive", strings.Join(m, " and "))
	}
	for _, check := range []func() error{c.checkChoices, c.checkRegistry, c.checkNetwork, c.checkMode} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *config) checkChoices() error {
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
	for _, name := range c.ignore {
		if !slices.Contains(ignorable, name) {
			return cli.Misuse("--ignore %q: must be one of %s", name, strings.Join(ignorable, " "))
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

func (c *config) checkRegistry() error {
	switch {
	case c.ca != "" && c.plainHTTP:
		return cli.Misuse("--ca and --plain-http are mutually exclusive")
	case (c.username == "") != (c.passwordFile == ""):
		return cli.Misuse("--username and --password-file belong together")
	}
	if c.registry != "" {
		if _, err := client.ParseSite(registryNames, c.registry); err != nil {
			return err
		}
		c.registry = strings.TrimSuffix(c.registry, "/")
	}
	return absolute(&c.ca, &c.passwordFile, &c.credentials, &c.tokenFile, &c.releaseFile, &c.k0s, &c.k0sFrom)
}

// absolute makes paths absolute, since they go into records and units.
func absolute(paths ...*string) error {
	for _, p := range paths {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	return nil
}

func (c *config) checkNetwork() error {
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

// checkMode tells which flags do not go with what was asked for.
func (c *config) checkMode() error {
	switch {
	case c.purge && !c.uninstall:
		return cli.Misuse("--purge requires --uninstall")
	case c.last && !c.uninstall:
		return cli.Misuse("--last-controller requires --uninstall")
	case c.k0sFrom != "" && !c.upgrade:
		return cli.Hint(cli.Misuse("--k0s-from: wants --upgrade"), "k0s-extract puts k0s on a host that has none")
	case c.releaseFile != "" && !c.upgrade:
		return cli.Misuse("--release-file: wants --upgrade")
	case c.printValues && c.plan:
		return cli.Misuse("--print-values changes nothing: it needs no --plan")
	case c.expiry <= 0 || c.expiry%time.Second != 0:
		return cli.Misuse("--expiry %v: must be whole seconds, such as 24h", c.expiry)
	case c.answer <= 0:
		return cli.Misuse("--answer-timeout %v: must be longer than 0", c.answer)
	case c.timeout <= 0:
		return cli.Misuse("--timeout %v: must be a time such as 45m", c.timeout)
	case c.helmTimeout <= 0:
		return cli.Misuse("--helm-timeout %v: must be a time such as 20m", c.helmTimeout)
	}
	for _, name := range c.values {
		if _, err := os.Stat(name); err != nil {
			return cli.Misuse("--values: %w", err)
		}
	}
	return nil
}
