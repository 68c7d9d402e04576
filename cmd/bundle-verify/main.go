// bundle-verify checks that a file is what its vendor signed, with a public key
// and a cosign signature.
//
// It reads the file once, as a stream, and the signature next to it. It writes
// one record to stdout and leaves nothing behind if killed. It uses no network,
// unless the key is given as a URL.
//
// All cryptography is the standard library's, except the last step of Ed25519,
// which it offers only for messages in memory; that step uses
// filippo.io/edwards25519, whose arithmetic is the standard library's own.
package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"flag"
	"io"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

// keyVariable names the key for all programs of a site that verify something.
const keyVariable = "K0RDENT_COSIGN_KEY"

// config holds the values of the flags.
type config struct {
	cli.Common
	key       string
	signature string
	digest    string
	plan      bool
}

func (c *config) flags() *flag.FlagSet {
	c.Format = record.NewFormat(record.Bundle{})
	fs := cli.NewFlagSet("bundle-verify", &c.Common)
	fs.StringVar(&c.key, "key", cli.Env(keyVariable), "")
	fs.StringVar(&c.signature, "signature", "", "")
	fs.StringVar(&c.digest, "digest", "", "")
	fs.BoolVar(&c.plan, "plan", false, "")
	return fs
}

// check returns misuse if flags or the operand are missing or wrong, and
// normalises the digest.
func (c *config) check(operand string) error {
	switch {
	case operand == "":
		return cli.Hint(cli.Misuse("no file to verify"), "name it, or give - for stdin")
	case c.key == "" && c.signature != "":
		return cli.Hint(cli.Misuse("no key to check the signature with"), "give the vendor's public key: --key cosign.pub")
	case c.plan && operand == "-":
		return cli.Misuse("--plan requires a file: stdin can be read only once")
	case c.key == "" && c.digest == "" && !c.plan:
		return cli.Hint(cli.Misuse("nothing to check %s against: no key and no digest", operand),
			"give the vendor's public key: --key cosign.pub")
	case c.digest == "":
		return nil
	}
	digits := digestDigits(c.digest)
	if digits == "" {
		return cli.Misuse("invalid --digest %q: must be sha256: and 64 hexadecimal digits, or a line that sha256sum prints", c.digest)
	}
	c.digest = "sha256:" + digits
	return nil
}

// digestDigits returns the hexadecimal digits of a digest: sha256:HEX, HEX, or a
// line of sha256sum, with or without --tag. It returns "" for anything else.
func digestDigits(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	if strings.HasPrefix(text, "sha256 (") {
		text = text[strings.LastIndexByte(text, ' ')+1:]
	}
	digits, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(text, "\\"), "sha256:"), " ")
	if sum, err := hex.DecodeString(digits); err != nil || len(sum) != 32 {
		return ""
	}
	return digits
}

func main() { cli.Main("bundle-verify", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	operand, err := pipe.Parse(fs, args, usage, stdout)
	if err != nil {
		return unknown(stdout, cfg.Format, fs.Arg(0), err)
	}
	if err := cfg.check(operand); err != nil {
		return unknown(stdout, cfg.Format, operand, cli.Named(fs, err))
	}
	progress, out, log := cfg.Open("bundle-verify", stdout, stderr) // from now on the reader of a pipe knows that a record will come
	defer progress.Close()
	var guard *pipe.Guard // of another bundle's verdict, which this one must not replace
	if operand != "-" {
		guard = pipe.NewGuard(stdin, out, progress.Warn, "verify each bundle with a command of its own")
	}
	ctx, stop, err := guard.Begin(ctx)
	defer stop()
	if err != nil {
		return unknown(stdout, cfg.Format, operand, err)
	}
	v := &verifier{cfg: &cfg, progress: progress, log: log}
	b, err := v.verify(ctx, operand, stdin)
	progress.Close()
	if piped := guard.Settle(ctx); piped != nil {
		return unknown(stdout, cfg.Format, operand, piped)
	}
	if b == nil {
		return unknown(stdout, cfg.Format, operand, err)
	}
	return cmp.Or(out.WriteAs(*b, v.verdict(b, operand)), err)
}
