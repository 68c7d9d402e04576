package main

import (
	"flag"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/record"
)

// config holds the values of the flags.
type config struct {
	cli.Common
	format *record.Format

	to        string
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

	ca           string
	plainHTTP    bool
	answer       time.Duration
	skipVerify   bool
	username     string
	passwordFile string
}

func (c *config) flags() *flag.FlagSet {
	fs := cli.NewFlagSet("oci-push", &c.Common)
	c.format, c.jobs, c.memory, c.answer = record.NewFormat(record.Image{}).Table("REFERENCE", "SIZE", "STATUS"), 5, 64<<20, client.FirstAnswer
	fs.StringVar(&c.to, "to", "", "")
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
	fs.StringVar(&c.ca, "ca", "", "")
	fs.BoolVar(&c.plainHTTP, "plain-http", false, "")
	cli.DurationVar(fs, &c.answer, "answer-timeout")
	fs.BoolVar(&c.skipVerify, "insecure-skip-tls-verify", false, "")
	fs.StringVar(&c.username, "username", "", "")
	fs.StringVar(&c.passwordFile, "password-file", "", "")
	fs.Var(c.format, "format", "")
	return fs
}

// check returns misuse for contradictory flags. It returns the operand as an
// absolute path, and an empty stdin if the run does not read it.
func (c *config) check(operand string, stdin io.Reader) (string, io.Reader, error) {
	if operand != "" && operand != "-" {
		abs, err := filepath.Abs(operand)
		if err != nil {
			return "", nil, err
		}
		operand = abs
	}
	if c.files != "" {
		abs, err := filepath.Abs(c.files)
		if err != nil {
			return "", nil, err
		}
		c.files = abs
	}
	switch {
	case c.files != "" && !hostfile.Supported:
		return "", nil, cli.Hint(cli.Misuse("--files is not supported on this system"), "without it, the files go to the registry with the images")
	case c.files != "" && c.from != "":
		return "", nil, cli.Misuse("--files and --from are mutually exclusive")
	case c.to == "":
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
	o := client.Options{
		At: c.to, Names: names("--to", ""), Username: c.username, PasswordFile: c.passwordFile, Push: true,
		PlainHTTP: c.plainHTTP, SkipVerify: c.skipVerify, CAFile: c.ca, Jobs: c.jobs, Timeout: c.answer,
		LoginFiles: cli.LoginFiles(), Agent: cli.Agent("oci-push"), Log: log,
		Notice: func(text string) { progress.Warn("%s", text) },
	}
	if to, err = client.New(o); err != nil || c.from == "" {
		return to, nil, err
	}
	o.At, o.Names, o.Username, o.PasswordFile, o.Push = c.from, names("--from", "from-"), c.fromUsername, c.fromPasswordFile, false
	from, err = client.New(o)
	return to, from, err
}

// names are the flags of one of the two registries.
func names(at, login string) client.Names {
	return client.Names{
		At: at, CA: "--ca", PlainHTTP: "--plain-http", Timeout: "--answer-timeout",
		Username: "--" + login + "username", PasswordFile: "--" + login + "password-file",
	}
}
