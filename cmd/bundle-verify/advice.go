package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/textfile"
)

// damaged is the hint for a file whose content is not the expected one.
const damaged = "compare its size with the vendor's, and copy it again"

// remedy returns a hint for a file whose content is not the expected one: the
// likely cause, where its name and content show it, else otherwise.
func remedy(in *input, b *record.Bundle, otherwise string) string {
	name := strings.ToLower(in.name)
	packed := strings.HasSuffix(name, ".gz") || strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".zst")
	switch {
	case in.parts != nil && in.parts.Series().Odd() != "":
		return in.parts.Series().Odd()
	case in.parts != nil:
		return "a part is damaged, missing at the end, or has another's name: compare each with the original (sha256sum)"
	case b.Size == bundle.FAT32Max:
		return "FAT32, which holds no larger file, has probably cut it off; carry it in parts (split -b 4000M FILE FILE.part-), or on exFAT, ext4 or NTFS"
	case b.Size == 0:
		return "the file is empty; copy it again"
	case bytes.HasPrefix(bytes.TrimSpace(in.head), []byte("<")):
		return "the file is a web page; get the file again"
	case packed && b.Format == "tar":
		return "the file is a plain tar: a browser or proxy unpacked it; get it again with curl -LO"
	case packedTwice(in.head):
		return fmt.Sprintf("the file is compressed twice, as browsers and proxies do; run gunzip -c %s >once.tgz and verify once.tgz", in.name)
	}
	if b.Format != "" {
		otherwise += fmt.Sprintf("; bundle-ls %s shows whether it is truncated or damaged", in.name)
	}
	return otherwise
}

// packedTwice reports whether a file is gzip within gzip.
func packedTwice(head []byte) bool {
	z, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return false
	}
	inner := make([]byte, 2)
	_, err = io.ReadFull(z, inner)
	return err == nil && string(inner) == "\x1f\x8b"
}

// mistaken returns an error if the file to verify is itself a signature or a key.
func mistaken(operand string) error {
	info, err := os.Stat(operand)
	if err != nil || info.Size() > textfile.Max {
		return nil
	}
	content, err := textfile.Bytes(operand)
	if err != nil {
		return nil
	}
	if _, err := parseKeys(operand, content); err == nil {
		return cli.Hint(fmt.Errorf("%s: a key, not a file to verify", operand), "are --key and the file to verify swapped?")
	}
	if s, err := parseSignature(content); err == nil && s.kind() != "" {
		for _, suffix := range suffixes {
			if file, found := strings.CutSuffix(operand, suffix); found {
				return cli.Hint(fmt.Errorf("%s: a signature, not a file to verify", operand), "name the file that it signs: %s", file)
			}
		}
	}
	return nil
}

// notAKey returns an error that says what a file without a key is instead.
func notAKey(name string, content []byte, err error) error {
	text := bytes.TrimSpace(content)
	switch s, notSigned := parseSignature(content); {
	case notSigned == nil && s.kind() != "":
		return cli.Hint(fmt.Errorf("%s: a signature, not a key", name), "are --key and --signature swapped?")
	case bytes.HasPrefix(text, []byte("<")):
		return cli.Hint(fmt.Errorf("%s: a web page, not a key", name), "get the key again")
	case bytes.HasPrefix(text, []byte("ssh-")), bytes.HasPrefix(text, []byte("ecdsa-sha2-")):
		return cli.Hint(fmt.Errorf("%s: a key in OpenSSH's form", name), "convert it: ssh-keygen -e -m PKCS8 -f %s", name)
	case bytes.Contains(text, []byte("-----BEGIN PGP ")):
		return fmt.Errorf("%s: an OpenPGP key, which cosign does not use", name)
	}
	return cli.Hint(err, "the vendor's public key begins with -----BEGIN PUBLIC KEY-----")
}
