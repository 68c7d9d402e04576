package main

import (
	"flag"
	"math"
	"slices"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// config holds the values of the flags.
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
	passwd       string
	passwordFile string
	remove       bool
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
	cli.Var(fs, &c.passwd, "passwd", checkedUser)
	fs.StringVar(&c.passwordFile, "password-file", "", "")
	fs.BoolVar(&c.remove, "remove", false, "")
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

// check fills in the defaults that depend on other flags, and returns misuse for
// values and combinations that are invalid.
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
	if err := c.checkServing(); err != nil {
		return err
	}
	return c.checkModes()
}

// checkServing returns misuse for invalid combinations of the flags for serving.
func (c *config) checkServing() error {
	needed := (c.write == "auth" || c.read == "auth") && c.passwd == ""
	switch {
	case c.storage == "": // it would be the current directory
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
		return cli.Hint(cli.Misuse("--write auth and --read auth require --htpasswd FILE"), "oci-serve --htpasswd FILE --passwd NAME creates one")
	case !needed && c.htpasswd != "" && c.passwd == "":
		return cli.Misuse("--htpasswd %s: protects nothing without --write auth or --read auth", c.htpasswd)
	case c.tlsConstrain && c.tls != "auto":
		return cli.Misuse("--tls-constrain requires --tls auto")
	}
	return nil
}

// checkModes returns misuse for invalid combinations of the flags that do
// something else than serve.
func (c *config) checkModes() error {
	var modes []string
	for _, m := range []struct {
		name string
		on   bool
	}{{"--gc", c.gc}, {"--scrub", c.scrub}, {"--layout", c.layout}, {"--purge", c.purge}, {"--passwd", c.passwd != ""}} {
		if m.on {
			modes = append(modes, m.name)
		}
	}
	switch {
	case len(modes) > 1:
		return cli.Misuse("%s and %s are mutually exclusive", strings.Join(modes[:len(modes)-1], ", "), modes[len(modes)-1])
	case c.repair && !c.scrub:
		return cli.Misuse("--repair requires --scrub")
	case c.uploads && !c.gc:
		return cli.Misuse("--uploads requires --gc")
	case c.yes && !c.purge:
		return cli.Misuse("--yes requires --purge")
	case c.remove && c.passwd == "":
		return cli.Misuse("--remove requires --passwd")
	case c.passwordFile != "" && c.passwd == "":
		return cli.Misuse("--password-file requires --passwd")
	case c.remove && c.passwordFile != "":
		return cli.Misuse("--remove and --password-file are mutually exclusive")
	case c.remove && c.htpasswd == "":
		return cli.Misuse("--remove requires --htpasswd FILE")
	}
	return nil
}
