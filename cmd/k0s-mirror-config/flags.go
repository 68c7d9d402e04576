package main

import (
	"cmp"
	"flag"
	"path/filepath"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

// config holds the values of the flags.
type config struct {
	cli.Common
	formatText string

	mirrors      []k0s.Mirror
	ca           []string
	username     string
	passwordFile string
	answer       time.Duration

	k0s     string
	version *k0s.Version // nil: as --k0s is
	images  string
	root    string

	plan, restart, checking, remove bool
}

func (c *config) flags() *flag.FlagSet {
	fs := cli.NewFlagSet("k0s-mirror-config", &c.Common)
	cli.ListVar(fs, &c.mirrors, "mirror", k0s.ParseMirror)
	cli.ListVar(fs, &c.ca, "ca", func(s string) (string, error) { return s, nil })
	fs.StringVar(&c.username, "username", "", "")
	fs.StringVar(&c.passwordFile, "password-file", "", "")
	c.answer = client.FirstAnswer
	cli.DurationVar(fs, &c.answer, "answer-timeout")
	fs.StringVar(&c.k0s, "k0s", "", "")
	cli.Var(fs, &c.version, "k0s-version", k0s.VersionFlag)
	fs.StringVar(&c.images, "images", "", "")
	fs.StringVar(&c.root, "root", "/", "")
	fs.BoolVar(&c.plan, "plan", false, "")
	fs.BoolVar(&c.restart, "restart", false, "")
	fs.BoolVar(&c.checking, "check", false, "")
	fs.BoolVar(&c.remove, "remove", false, "")
	fs.StringVar(&c.formatText, "format", "auto", "")
	return fs
}

// check returns misuse if the flags contradict each other, and completes them.
func (c *config) check() error {
	if err := cli.Exclusive([]string{"--check", "--plan", "--remove", "--restart"}, c.checking, c.checking && c.plan,
		c.checking && c.remove, c.checking && c.restart); err != nil {
		return err
	}
	if err := cli.Together("--username", "--password-file", c.username != "", c.passwordFile != ""); err != nil {
		return err
	}
	if err := cli.Exclusive([]string{"--remove", "--mirror"}, c.remove, len(c.mirrors) > 0); err != nil {
		return err
	}
	var err error
	if c.root, err = filepath.Abs(c.root); err != nil {
		return err
	}
	if err := cli.Exclusive([]string{"--restart", "--root"}, c.restart, c.root != "/"); err != nil {
		return err
	}
	c.k0s = cmp.Or(c.k0s, filepath.Join(c.root, k0s.BinaryPath))
	// A check writes image records, everything else file records.
	c.Format = record.NewFormat(record.File{}).Table("PATH", "STATUS")
	if c.checking {
		c.Format = record.NewFormat(record.Image{}).Table("REFERENCE", "STATUS")
	}
	if err := c.Format.Set(c.formatText); err != nil {
		return cli.Misuse("invalid --format %q: %w", c.formatText, err)
	}
	return nil
}
