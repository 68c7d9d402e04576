// Command mkk0s writes the stand-in for k0s as a program.
//
//	mkk0s --claim v1.36.3+k0s.2 --arch arm64 --out k0s
package main

import (
	"context"
	"flag"
	"io"
	"os"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/k0s"
)

const usage = `usage: mkk0s --out FILE [flags]

Writes the stand-in for k0s, the script tests/k0s/k0s, as a program for linux.

  --out FILE      where to write
  --claim V       the version that it claims (default v1.32.8+k0s.0)
  --arch ARCH     amd64 or arm64 (default amd64)
  --config FILE   read flags from a file
  --quiet --verbose have no effect
  --help, --version

exit status: 0 done, 1 failed, 2 misuse
`

type config struct {
	common           cli.Common
	out, claim, arch string
}

func (c *config) flags() *flag.FlagSet {
	fs := cli.NewFlagSet("mkk0s", &c.common)
	fs.StringVar(&c.out, "out", "", "where to write")
	fs.StringVar(&c.claim, "claim", "v1.32.8+k0s.0", "the version that it claims")
	fs.StringVar(&c.arch, "arch", "amd64", "amd64 or arm64")
	return fs
}

func main() { cli.Main("mkk0s", run) }

func run(_ context.Context, args []string, _ io.Reader, stdout, _ io.Writer) error {
	var cfg config
	if err := cli.Parse(cfg.flags(), args, usage, stdout, 0); err != nil {
		return err
	}
	if cfg.out == "" || cfg.arch != "amd64" && cfg.arch != "arm64" {
		return cli.Misuse("--out FILE is needed, and --arch is amd64 or arm64")
	}
	return os.WriteFile(cfg.out, k0s.Program(cfg.arch, cfg.claim), 0o755)
}
