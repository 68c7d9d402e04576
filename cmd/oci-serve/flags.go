package main

import (
	"flag"
	"math"
	"slices"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// config is what the flags say.
type config struct {
	cli.Common
	host         string
	port         int
	storage      string
	k0sDir       string
	tls          string
	tlsNames     []string
	tlsConstrain bool
	tlsCert      string
	tlsKey       string
	write        string
	read         string
	htpasswd     string
	uploadLimit  int64
	gc           bool
	uploads      bool
	layout       bool
	scrub        bool
	repair       bool
	purge        bool
	yes          bool
	accessLog    string
	format       *record.Format
}

func (c *config) flags() *flag.FlagSet {
	fs := cli.NewFlagSet("oci-serve", &c.Common)
	c.format = record.NewFormat(record.Registry{})
	fs.StringVar(&c.host, "host", "0.0.0.0", "")
	fs.IntVar(&c.port, "port", 5000, "")
	fs.StringVar(&c.storage, "storage", "/var/lib/k0rdentd/registry", "")
	fs.StringVar(&c.k0sDir, "k0s-dir", "", "")
	fs.StringVar(&c.tls, "tls", "", "")
	cli.ListVar(fs, &c.tlsNames, "tls-name", checkedName)
	fs.BoolVar(&c.tlsConstrain, "tls-constrain", false, "")
	fs.StringVar(&c.tlsCert, "tls-cert", "", "")
	fs.StringVar(&c.tlsKey, "tls-key", "", "")
	fs.StringVar(&c.write, "write", "", "")
	fs.StringVar(&c.read, "read", "any", "")
	fs.StringVar(&c.htpasswd, "htpasswd", "", "")
	fs.Int64Var(&c.uploadLimit, "upload-limit", 0, "`BYTES` that one user's unfinished uploads may hold; 0 is no limit")
	fs.BoolVar(&c.gc, "gc", false, "")
	fs.BoolVar(&c.uploads, "uploads", false, "")
	fs.BoolVar(&c.layout, "layout", false, "")
	fs.BoolVar(&c.scrub, "scrub", false, "")
	fs.BoolVar(&c.repair, "repair", false, "")
	fs.BoolVar(&c.purge, "purge", false, "")
	fs.BoolVar(&c.yes, "yes", false, "")
	fs.StringVar(&c.accessLog, "access-log", "", "")
	fs.Var(c.format, "format", "")
	return fs
}

// check fills in what follows from other flags and tells what does not fit.
func (c *config) check() error {
	if c.write == "" {
		c.write = "owner"
		if c.htpasswd != "" {
			c.write = "auth"
		}
	}
	for _, f := range []struct {
		name, value, wanted string
		values              []string
	}{
		{"--write", c.write, "owner, loopback, auth, any or none", []string{"owner", "loopback", "auth", "any", "none"}},
		{"--read", c.read, "any or auth", []string{"any", "auth"}},
		{"--tls", c.tls, "auto", []string{"", "auto"}},
		{"--access-log", c.accessLog, "text or json", []string{"", "text", "json"}},
	} {
		if !slices.Contains(f.values, f.value) {
			return cli.Misuse("invalid %s %q: must be %s", f.name, f.value, f.wanted)
		}
	}
	needed := c.write == "auth" || c.read == "auth"
	switch {
	case c.storage == "": // it would be whatever directory this is
		return cli.Misuse("--storage: must name a directory")
	case c.port < 0 || c.port > math.MaxUint16:
		return cli.Misuse("invalid --port %d: must be a number from 0 to %d", c.port, math.MaxUint16)
	case c.uploadLimit < 0:
		return cli.Misuse("invalid --upload-limit %d: must be a number of bytes", c.uploadLimit)
	case (c.tlsCert == "") != (c.tlsKey == ""):
		return cli.Misuse("--tls-cert and --tls-key require each other")
	case c.tls == "auto" && c.tlsCert != "":
		return cli.Misuse("--tls auto and --tls-cert are mutually exclusive")
	case len(c.tlsNames) > 0 && c.tls != "auto":
		return cli.Misuse("--tls-name requires --tls auto")
	case needed && c.htpasswd == "":
		return cli.Hint(cli.Misuse("--write auth and --read auth require --htpasswd FILE"), "htpasswd -B -c FILE NAME makes one")
	case !needed && c.htpasswd != "":
		return cli.Misuse("--htpasswd %s: protects nothing without --write auth or --read auth", c.htpasswd)
	case c.tlsConstrain && c.tls != "auto":
		return cli.Misuse("--tls-constrain requires --tls auto")
	case c.repair && !c.scrub:
		return cli.Misuse("--repair requires --scrub")
	case c.uploads && !c.gc:
		return cli.Misuse("--uploads requires --gc")
	case c.gc && c.scrub:
		return cli.Misuse("--gc and --scrub are mutually exclusive")
	case c.layout && (c.gc || c.scrub):
		return cli.Misuse("--layout, --gc and --scrub are mutually exclusive")
	case c.purge && (c.gc || c.scrub || c.layout):
		return cli.Misuse("--purge, --layout, --gc and --scrub are mutually exclusive")
	case c.yes && !c.purge:
		return cli.Misuse("--yes requires --purge")
	}
	return nil
}
