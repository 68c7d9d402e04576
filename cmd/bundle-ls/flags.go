package main

import (
	"bytes"
	"flag"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/textfile"
)

// config holds the values of the flags.
type config struct {
	cli.Common
	overrides string
	blobs     bool

	registry cli.Registry
	du       bool
}

func (c *config) flags() *flag.FlagSet {
	c.Format = record.NewFormat(record.Image{}, record.Repository{}, record.File{}).Table("REFERENCE", "TYPE", "SIZE", "PLATFORMS")
	fs := cli.NewFlagSet("bundle-ls", &c.Common)
	fs.StringVar(&c.overrides, "map", "", "")
	fs.BoolVar(&c.blobs, "blobs", false, "")
	c.registry.Flags(fs, "registry", client.FirstAnswer)
	fs.BoolVar(&c.registry.SkipVerify, "insecure-skip-tls-verify", false, "")
	fs.BoolVar(&c.du, "du", false, "")
	return fs
}

// check returns misuse for contradictory flags.
func (c *config) check(fs *flag.FlagSet, operand string) error {
	if c.registry.At == "" {
		return withoutRegistry(fs)
	}
	if operand != "" {
		return cli.Misuse("--registry and a bundle are mutually exclusive: unexpected argument %q", operand)
	}
	if err := cli.Exclusive([]string{"--map", "--registry"}, c.overrides != "", true); err != nil {
		return err
	}
	if err := cli.Exclusive([]string{"--blobs", "--registry"}, c.blobs, true); err != nil {
		return err
	}
	return c.registry.Check()
}

// withoutRegistry returns misuse for a flag that is about a registry.
func withoutRegistry(fs *flag.FlagSet) (err error) {
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "answer-timeout", "ca", "du", "insecure-skip-tls-verify", "password-file", "plain-http", "username":
			err = cli.Misuse("--%s requires --registry", f.Name)
		}
	})
	return err
}

// client returns a client of the registry to list.
func (c *config) client(l *lister) (*client.Registry, error) {
	o := client.FromFlags(c.registry, "bundle-ls", l.log, l.progress)
	o.Jobs = lookups
	reg, err := client.New(o)
	if err == nil && o.SkipVerify {
		l.progress.Warn("the certificate of %s is not checked: anyone on the network path can change what is listed", reg.Host())
	}
	return reg, err
}

// readOverrides reads the file that --map names. Its errors are misuse, as for
// any other setting.
func readOverrides(name string) (ref.Overrides, error) {
	if name == "" {
		return nil, nil
	}
	text, err := textfile.Read(name)
	if err != nil {
		return nil, cli.Misuse("--map: %w", err)
	}
	overrides, err := ref.ParseOverrides(bytes.NewReader(text))
	if err != nil {
		return nil, cli.Misuse("--map %s: %w", name, err)
	}
	return overrides, nil
}
