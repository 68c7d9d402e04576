package main

import (
	"cmp"
	"flag"
	"os"
	"path/filepath"

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
	files        string
	filesHTTP    hostPort
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
}

func (c *config) flags() *flag.FlagSet {
	c.Format, c.port, c.read = record.NewFormat(record.Registry{}), 5000, "any"
	fs := cli.NewFlagSet("oci-serve", &c.Common)
	fs.StringVar(&c.host, "host", "0.0.0.0", "")
	cli.PortVar(fs, &c.port, "port", 0)
	fs.StringVar(&c.storage, "storage", "/var/lib/k0rdentd/registry", "")
	fs.StringVar(&c.k0sDir, "k0s-dir", "", "")
	fs.StringVar(&c.files, "files", "", "")
	cli.Var(fs, &c.filesHTTP, "files-http", parseListen)
	cli.ChoiceVar(fs, &c.tls, "tls", "auto")
	cli.ListVar(fs, &c.tlsNames, "tls-name", parseName)
	fs.BoolVar(&c.tlsConstrain, "tls-constrain", false, "")
	fs.StringVar(&c.tlsCert, "tls-cert", "", "")
	fs.StringVar(&c.tlsKey, "tls-key", "", "")
	cli.ChoiceVar(fs, &c.write, "write", "owner", "loopback", "auth", "any", "none")
	cli.ChoiceVar(fs, &c.read, "read", "any", "auth")
	fs.StringVar(&c.htpasswd, "htpasswd", "", "")
	cli.Var(fs, &c.passwd, "passwd", checkedUser)
	fs.StringVar(&c.passwordFile, "password-file", "", "")
	fs.BoolVar(&c.remove, "remove", false, "")
	cli.Var(fs, &c.uploadLimit, "upload-limit", cli.ParseSize)
	fs.BoolVar(&c.gc, "gc", false, "")
	fs.BoolVar(&c.uploads, "uploads", false, "")
	fs.BoolVar(&c.layout, "layout", false, "")
	fs.BoolVar(&c.scrub, "scrub", false, "")
	fs.BoolVar(&c.repair, "repair", false, "")
	fs.BoolVar(&c.purge, "purge", false, "")
	fs.BoolVar(&c.yes, "yes", false, "")
	cli.ChoiceVar(fs, &c.accessLog, "access-log", "text", "json")
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
	if c.htpasswd != "" || c.passwd != "" {
		if err := cli.Approved("bcrypt, which hashes passwords,", "let a proxy in front check logins"); err != nil {
			return err
		}
	}
	if err := c.checkServing(); err != nil {
		return err
	}
	return c.checkModes()
}

// locate makes the directories absolute.
func (c *config) locate() (err error) {
	if c.storage, err = filepath.Abs(c.storage); err != nil {
		return err
	}
	if c.k0sDir, err = filepath.Abs(cmp.Or(c.k0sDir, filepath.Join(c.storage, "k0s"))); err != nil {
		return err
	}
	if c.files == "" {
		return nil
	}
	if c.files, err = filepath.Abs(c.files); err != nil {
		return err
	}
	root, err := os.OpenRoot(c.files) // a mistyped one would serve nothing
	if err != nil {
		return cli.Misuse("--files: %w", err)
	}
	return root.Close()
}

// checkServing returns misuse for invalid combinations of the flags for serving.
func (c *config) checkServing() error {
	needed := (c.write == "auth" || c.read == "auth") && c.passwd == ""
	switch {
	case c.storage == "": // it would be the current directory
		return cli.Misuse("invalid --storage \"\": must be a directory")
	case c.tls == "auto" && c.tlsCert != "":
		return cli.Misuse("--tls auto and --tls-cert are mutually exclusive")
	case len(c.tlsNames) > 0 && c.tls != "auto":
		return cli.Misuse("--tls-name requires --tls auto")
	case needed && c.htpasswd == "":
		return cli.Hint(cli.Misuse("--write auth and --read auth require --htpasswd"), "oci-serve --htpasswd FILE --passwd NAME creates one")
	case !needed && c.htpasswd != "" && c.passwd == "":
		return cli.Misuse("--htpasswd requires --write auth or --read auth")
	case c.tlsConstrain && c.tls != "auto":
		return cli.Misuse("--tls-constrain requires --tls auto")
	}
	return cli.Together("--tls-cert", "--tls-key", c.tlsCert != "", c.tlsKey != "")
}

// checkModes returns misuse for invalid combinations of the flags that do
// something else than serve.
func (c *config) checkModes() error {
	switch {
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
	return cli.Exclusive([]string{"--gc", "--scrub", "--layout", "--purge", "--passwd"}, c.gc, c.scrub, c.layout, c.purge, c.passwd != "")
}
