package main

import (
	"cmp"
	"flag"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/record"
)

// config holds the values of the flags.
type config struct {
	cli.Common

	to        string
	name      bool
	from      string
	platforms oci.Platforms // empty: this machine's
	version   *k0s.Version  // nil: the newest
	replace   bool
	plan      bool
	flavor    bool

	registry cli.Registry // of --from
}

func (c *config) flags() *flag.FlagSet {
	c.Format = record.NewFormat(record.File{}).Table("PATH", "VERSION", "PLATFORM", "SIZE", "STATUS")
	fs := cli.NewFlagSet("k0s-extract", &c.Common)
	fs.StringVar(&c.to, "to", "", "")
	fs.BoolVar(&c.name, "name", false, "")
	fs.StringVar(&c.from, "from", "", "")
	cli.Var(fs, &c.platforms, "platform", oci.ParsePlatforms)
	cli.Var(fs, &c.version, "k0s-version", k0s.VersionFlag)
	fs.BoolVar(&c.replace, "replace", false, "")
	fs.BoolVar(&c.plan, "plan", false, "")
	fs.BoolVar(&c.flavor, "flavor", false, "")
	c.registry.AccessFlags(fs, client.FirstAnswer)
	cli.Gone(fs, "export", "was removed", func(string) string {
		return "use install.sh --export-worker or --export-controller to prepare another host"
	})
	return fs
}

// checkPlatforms returns misuse for a platform that k0s does not support, and for
// two with the same architecture, whose files would have the same name.
func (c *config) checkPlatforms() error {
	seen := make(map[string]bool)
	for _, p := range c.platforms {
		if p.OS != "linux" || machines()[p.Architecture] == 0 {
			return cli.Misuse("invalid --platform %q: must be linux/amd64, linux/arm64, linux/arm or linux/riscv64", p)
		}
		if seen[p.Architecture] {
			return cli.Misuse("invalid --platform %q: duplicate architecture %s", c.platforms, p.Architecture)
		}
		seen[p.Architecture] = true
	}
	return nil
}

// check returns misuse if flags contradict each other, and fills in defaults.
func (c *config) check(operand string) error {
	_, isImage, wrong := parseFrom(c.from)
	switch {
	case operand != "" && c.from != "" && !c.isPushed(operand):
		return cli.Hint(cli.Misuse("--from and a bundle are mutually exclusive: unexpected argument %q", operand), "- reads records from stdin if --from is HOST[:PORT][/PREFIX]")
	case c.name && c.to == "":
		return cli.Hint(cli.Misuse("--name requires --to DIR"), "oci-serve serves what is in the directory k0s of its storage")
	case len(c.platforms) > 1 && !c.name:
		return cli.Hint(cli.Misuse("several platforms require --name"), "--name --to DIR writes one file for each platform")
	case len(c.platforms) > 1 && c.from != "" && !isImage && operand == "":
		return cli.Misuse("--from FILE and several platforms are mutually exclusive")
	}
	if err := c.checkPlatforms(); err != nil {
		return err
	}
	if len(c.platforms) == 0 && !(c.name && c.isPushed(operand)) {
		c.platforms = oci.Platforms{here()}
	}
	c.to = cmp.Or(c.to, k0s.BinaryPath)
	return cmp.Or(wrong, cli.Absolute(&c.to))
}
