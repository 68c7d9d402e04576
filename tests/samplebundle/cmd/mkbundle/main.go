// Command mkbundle writes a sample bundle in the vendor's layout.
//
//	mkbundle --out bundle.tar.gz
//	mkbundle --out big.tar.gz --size 3GiB --archives 226
//	mkbundle --out bad.tar.gz --defect truncated-mid-entry
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/samplebundle"
)

const usage = `usage: mkbundle --out FILE|DIR [flags]

Writes a bundle in the vendor's layout, filled with made-up content. The same
flags give the same bytes.

  --out PATH        where to write; "-" is stdout
  --format FORMAT   tar.gz, tar.zst, tar or dir (default tar.gz)
  --size SIZE       about how large as a tar, such as 64KiB or 3GiB (default: the least)
  --archives N      OCI archives in it, at most 226 (default 63, which are complete in themselves)
  --seed N          other content, other digests
  --bundle NAME     one of the vendor's further bundles instead: bare-metal or ceph
  --release V       version of the vendor's charts (default 1.2.3; 0.2.2 for
                    bare-metal, 1.0.11 for ceph)
  --top DIR         put everything in this directory
  --k0s FILE        what stands at /usr/local/bin/k0s in the k0s image; "stand-in":
                    the stand-in of tests/k0s, for each platform
  --manifest FILE   tell in JSON what the bundle holds
  --defect NAME     write a small tar.gz with this defect instead
  --list-defects    name the defects, and what each is
  --config FILE     read flags from a file
  --quiet --verbose have no effect
  --help, --version

exit status: 0 done, 1 failed, 2 misuse
`

type config struct {
	common   cli.Common
	options  samplebundle.Options
	out      string
	format   string
	size     string
	manifest string
	defect   string
	list     bool
}

func (c *config) flags() *flag.FlagSet {
	fs := cli.NewFlagSet("mkbundle", &c.common)
	fs.StringVar(&c.out, "out", "", "where to write")
	fs.StringVar(&c.format, "format", "tar.gz", "tar.gz, tar.zst, tar or dir")
	fs.StringVar(&c.size, "size", "0", "about how large as a tar")
	fs.IntVar(&c.options.Archives, "archives", samplebundle.CoreArchives, "number of OCI archives")
	fs.Uint64Var(&c.options.Seed, "seed", 0, "vary the content")
	fs.StringVar(&c.options.Bundle, "bundle", "", "one of the vendor's further bundles instead")
	fs.StringVar(&c.options.Release, "release", "", "version of the vendor's charts")
	fs.StringVar(&c.options.Top, "top", "", "directory around everything")
	fs.StringVar(&c.options.K0s, "k0s", "", "k0s program to put in")
	fs.StringVar(&c.manifest, "manifest", "", "tell in JSON what the bundle holds")
	fs.StringVar(&c.defect, "defect", "", "write a bundle with this defect")
	fs.BoolVar(&c.list, "list-defects", false, "name the defects")
	return fs
}

func main() { cli.Main("mkbundle", run) }

func run(_ context.Context, args []string, _ io.Reader, stdout, _ io.Writer) error {
	var cfg config
	if err := cli.Parse(cfg.flags(), args, usage, stdout, 0); err != nil {
		return err
	}
	if cfg.list {
		return listDefects(stdout)
	}
	if cfg.out == "" {
		return cli.Hint(cli.Misuse("--out is missing"), "mkbundle --out bundle.tar.gz")
	}
	var err error
	if cfg.options.Size, err = parseSize(cfg.size); err != nil {
		return cli.Misuse("--size %s: %v", cfg.size, err)
	}
	m, err := cfg.write(stdout)
	if err != nil || cfg.manifest == "" {
		return err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(cfg.manifest, append(text, '\n'), 0o644)
}

// write writes the bundle that the flags ask for.
func (c *config) write(stdout io.Writer) (samplebundle.Manifest, error) {
	write := func(w io.Writer) (samplebundle.Manifest, error) { return samplebundle.Write(w, c.options) }
	if c.defect != "" {
		v, ok := samplebundle.FindVector(c.defect)
		if !ok {
			return samplebundle.Manifest{}, cli.Hint(cli.Misuse("no such defect: %s", c.defect), "mkbundle --list-defects names them")
		}
		if c.format != string(samplebundle.TarGz) {
			return samplebundle.Manifest{}, cli.Misuse("--defect: these bundles are always tar.gz")
		}
		write = v.Write
	}
	c.options.Format = samplebundle.Format(c.format)
	switch {
	case c.format == "dir":
		return samplebundle.WriteDir(c.out, c.options)
	case c.out == "-":
		return buffered(stdout, write)
	}
	f, err := os.Create(c.out)
	if err != nil {
		return samplebundle.Manifest{}, err
	}
	m, err := buffered(f, write)
	if e := f.Close(); err == nil {
		err = e
	}
	return m, err
}

func buffered(w io.Writer, write func(io.Writer) (samplebundle.Manifest, error)) (samplebundle.Manifest, error) {
	b := bufio.NewWriterSize(w, 1<<20)
	m, err := write(b)
	if e := b.Flush(); err == nil {
		err = e
	}
	return m, err
}

func listDefects(w io.Writer) error {
	for _, v := range samplebundle.Vectors() {
		if _, err := fmt.Fprintf(w, "%-26s %-12s %s\n", v.Name, v.Want, v.About); err != nil {
			return err
		}
	}
	return nil
}

// parseSize reads a number of bytes, with B, KiB, MiB or GiB behind it.
func parseSize(s string) (int64, error) {
	number, shift := strings.TrimSuffix(s, "B"), 0
	for i, unit := range []string{"Ki", "Mi", "Gi"} {
		if n, ok := strings.CutSuffix(number, unit); ok {
			number, shift = n, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > 1<<50>>shift {
		return 0, fmt.Errorf("want a number of bytes, KiB, MiB or GiB")
	}
	return n << shift, nil
}
