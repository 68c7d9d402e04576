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

const usage = `usage: bundle-verify --key FILE [flags] FILE
       bundle-verify --digest sha256:HEX [flags] FILE

Verify that FILE is what its vendor signed with cosign; print one bundle record.
FILE is any signed file, or "-" for stdin.

  --key FILE|URL      the public key or certificate, in PEM form
  --signature FILE    the signature (default: FILE.sig or FILE.sigstore.json)
  --digest DIGEST     the digest that FILE must have: sha256:HEX, or a line of
                      sha256sum
  --format FORMAT     json (default), table, or a template: '{{.digest}}'
  --quiet             print only warnings and errors
  --verbose           log each action to stderr
  --config FILE       read flags from FILE, one 'name value' per line
  --help              print this text
  --version           print the version

The signature is detached (base64 or binary) or a bundle in JSON, made with a
key. Certificates and transparency log entries are reported but not checked.
Nothing is fetched, except a key given as a URL.

Every flag is also an environment variable: BUNDLE_VERIFY_KEY for --key.
If no key is given, K0RDENT_COSIGN_KEY names it.
Exit codes: 0 the file is good, 1 it is not or cannot be verified, 2 misuse,
130 interrupted.

  bundle-verify --key cosign.pub bundle.tgz | bundle-version
`

// keyVariable names the key for all programs of a site that verify something.
const keyVariable = "K0RDENT_COSIGN_KEY"

// config holds the values of the flags.
type config struct {
	cli.Common
	format    *record.Format
	key       string
	signature string
	digest    string
}

func (c *config) flags() *flag.FlagSet {
	fs := cli.NewFlagSet("bundle-verify", &c.Common)
	c.format = record.NewFormat(record.Bundle{})
	fs.StringVar(&c.key, "key", cli.Env(keyVariable), "")
	fs.StringVar(&c.signature, "signature", "", "")
	fs.StringVar(&c.digest, "digest", "", "")
	fs.Var(c.format, "format", "")
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
	case c.key == "" && c.digest == "":
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
	if err := cli.Parse(fs, args, usage, stdout, 1); err != nil {
		return unknown(stdout, cfg.format, "", err)
	}
	operand := fs.Arg(0)
	if err := cfg.check(operand); err != nil {
		return unknown(stdout, cfg.format, operand, cli.Named(fs, err))
	}
	out := record.NewWriter(stdout, cfg.format) // from now on the reader of a pipe knows that a record will come
	progress := cli.NewProgress("bundle-verify", stderr, cfg.Quiet)
	defer progress.Close()
	var guard *pipe.Guard // of another bundle's verdict, which this one must not replace
	if operand != "-" {
		guard = pipe.NewGuard(stdin, out, progress.Warn, "verify each bundle with a command of its own")
	}
	ctx, stop, err := guard.Begin(ctx)
	defer stop()
	if err != nil {
		return unknown(stdout, cfg.format, operand, err)
	}
	v := &verifier{cfg: &cfg, progress: progress, log: cli.Logger(progress, cfg.Verbose)}
	b, err := v.verify(ctx, operand, stdin)
	progress.Close()
	if piped := guard.Settle(ctx); piped != nil {
		return unknown(stdout, cfg.format, operand, piped)
	}
	if b == nil {
		return unknown(stdout, cfg.format, operand, err)
	}
	return cmp.Or(out.Write(*b), err)
}
