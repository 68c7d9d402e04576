package main

import (
	"flag"
	"io"
	"log/slog"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/record"
)

// config holds the values of the flags.
type config struct {
	cli.Common
	to        cli.Registry // and what is common to both registries
	jobs      int
	memory    int64
	platforms oci.Platforms
	plan      bool
	files     string
	aliases   aliases

	verifiedBy string

	from             string
	fromUsername     string
	fromPasswordFile string
}

func (c *config) flags() *flag.FlagSet {
	c.Format, c.jobs, c.memory = record.NewFormat(record.Image{}).Table("REFERENCE", "SIZE", "STATUS"), 5, 64<<20
	fs := cli.NewFlagSet("oci-push", &c.Common)
	c.to.Flags(fs, "to", client.FirstAnswer)
	fs.BoolVar(&c.to.SkipVerify, "insecure-skip-tls-verify", false, "")
	cli.CountVar(fs, &c.jobs, "jobs")
	cli.Var(fs, &c.memory, "memory", parseMemory)
	cli.Var(fs, &c.platforms, "platform", oci.ParsePlatforms)
	cli.ListVar(fs, (*[]alias)(&c.aliases), "alias", parseAlias)
	fs.BoolVar(&c.plan, "plan", false, "")
	fs.StringVar(&c.files, "files", "", "")
	fs.StringVar(&c.verifiedBy, "verified-by", "", "")
	fs.StringVar(&c.from, "from", "", "")
	fs.StringVar(&c.fromUsername, "from-username", "", "")
	fs.StringVar(&c.fromPasswordFile, "from-password-file", "", "")
	return fs
}

// check returns misuse for contradictory flags. It returns the operand as an
// absolute path, and an empty stdin if the run does not read it.
func (c *config) check(operand string, stdin io.Reader) (string, io.Reader, error) {
	paths := []*string{&c.files}
	if operand != "-" {
		paths = append(paths, &operand)
	}
	if err := cli.Absolute(paths...); err != nil {
		return "", nil, err
	}
	switch {
	case c.files != "" && !hostfile.Supported:
		return "", nil, cli.Hint(cli.Misuse("--files is not supported on this system"), "without it, the files go to the registry with the images")
	case c.files != "" && c.from != "":
		return "", nil, cli.Misuse("--files and --from are mutually exclusive")
	case c.to.At == "":
		return "", nil, cli.Hint(cli.Misuse("no registry to push to"), "give --to HOST[:PORT][/PREFIX]")
	case c.from != "" && operand != "" && operand != "-":
		return "", nil, cli.Hint(cli.Misuse("--from and a bundle are mutually exclusive: unexpected argument %q", operand), "- reads records from stdin")
	case c.from != "" && c.verifiedBy != "":
		return "", nil, cli.Misuse("--verified-by and --from are mutually exclusive")
	case c.verifiedBy != "" && (operand == "" || operand == "-" && c.verifiedBy == "-"):
		return "", nil, cli.Hint(cli.Misuse("--verified-by requires the bundle as the argument"), "records on stdin include their own bundle record")
	case len(c.platforms) > 0 && operand == "-" && c.from == "":
		return "", nil, cli.Hint(cli.Misuse("--platform requires a bundle that can be read twice"), "name the file")
	case operand == "" && c.from == "" || operand == "-":
		if err := cli.CheckStdin(stdin); err != nil {
			if operand == "-" || len(c.aliases) == 0 {
				return "", nil, err
			}
			stdin = strings.NewReader("") // the aliases are all there is to do
		}
	}
	return operand, stdin, nil
}

// registries returns the registry to push to, and the one to copy from, or nil.
func (c *config) registries(log *slog.Logger, progress *cli.Progress) (to, from *client.Registry, err error) {
	o := client.FromFlags(c.to, "oci-push", log, progress)
	o.Names.At, o.Jobs, o.Push = "--to", c.jobs, true
	if to, err = client.New(o); err != nil || c.from == "" {
		return to, nil, err
	}
	o.At, o.Username, o.PasswordFile, o.Push = c.from, c.fromUsername, c.fromPasswordFile, false
	o.Names.At, o.Names.Username, o.Names.PasswordFile = "--from", "--from-username", "--from-password-file"
	from, err = client.New(o)
	return to, from, err
}
