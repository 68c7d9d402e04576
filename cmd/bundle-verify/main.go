// bundle-verify tells whether a file is what its vendor signed, by a public
// key and a signature that cosign made.
//
// It reads the file once, as a stream, and the signature beside it. It writes
// one record to stdout and leaves nothing behind when killed. It uses no
// network, unless the key is named by a URL.
//
// All of the cryptography is the standard library's, but for the last step of
// Ed25519, which that offers for messages in memory only; it is taken with
// filippo.io/edwards25519, the arithmetic that the standard library itself has.
package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"flag"
	"io"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

const usage = `usage: bundle-verify --key FILE [flags] FILE
       bundle-verify --digest sha256:HEX [flags] FILE

Tell whether FILE is what its vendor signed with cosign, as one bundle record.
FILE is any signed file, or "-": its bytes come on stdin.

  --key FILE|URL      the public key or certificate, in PEM form
  --signature FILE    the signature (default: FILE.sig or FILE.sigstore.json)
  --digest DIGEST     the digest that FILE must have: sha256:HEX, or what
                      sha256sum prints
  --format FORMAT     json (default), table, or a template: '{{.digest}}'
  --quiet             no progress, warnings and errors only
  --verbose           log what is done to stderr
  --config FILE       read flags from FILE, one 'name value' a line
  --help              print this text
  --version           print the version

The signature is detached (base64 or binary) or a bundle in JSON, made with a
key. Certificates and entries of transparency logs are told, and not checked.
Nothing is fetched but a key whose URL is given.

Every flag is also a variable: BUNDLE_VERIFY_KEY for --key. Where none of them
names a key, K0RDENT_COSIGN_KEY does.
Exit codes: 0 the file is good, 1 it is not or cannot be verified, 2 misuse,
130 interrupted.

  bundle-verify --key cosign.pub bundle.tgz | bundle-version
`

// keyVariable names the key for all programs of a site that verify something.
const keyVariable = "K0RDENT_COSIGN_KEY"

// config is what the flags say.
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

// check finds what flags and operand do not say, and brings the digest into
// its one form.
func (c *config) check(operand string) error {
	switch {
	case operand == "":
		return cli.Hint(cli.Misuse("no file to verify"), "name it, or give - for bytes on stdin")
	case c.key == "" && c.signature != "":
		return cli.Hint(cli.Misuse("no key to check the signature with"), "give the vendor's public key: --key cosign.pub")
	case c.key == "" && c.digest == "":
		return cli.Hint(cli.Misuse("neither a key nor a digest to check %s with", operand),
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
		return unknown(stdout, cfg.format, operand, err)
	}
	out := record.NewWriter(stdout, cfg.format) // the reader behind a pipe knows from now on that a record comes
	progress := cli.NewProgress("bundle-verify", stderr, cfg.Quiet)
	defer progress.Close()
	v := &verifier{cfg: &cfg, progress: progress, log: cli.Logger(progress, cfg.Verbose)}
	b, err := v.verify(ctx, operand, stdin)
	progress.Close()
	if b == nil {
		return unknown(stdout, cfg.format, operand, err)
	}
	return cmp.Or(out.Write(*b), err)
}
