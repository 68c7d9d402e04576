package bundle

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"k0rdent-airgap/lib/magic"
)

// sniffLen is how much of a file is examined to detect its format: one tar
// header.
const sniffLen = 512

// The formats of a bundle, detected by its first bytes, never by its name.
const (
	FormatTarGzip = "tar.gz"
	FormatTarZstd = "tar.zst"
	FormatTar     = "tar"
	FormatDir     = "dir"
)

// signatures are the first bytes of other files that people mistake for
// bundles.
var signatures = []struct{ magic, says string }{
	{"\x7fELF", "a program"},
	{"-----BEGIN ", "a PEM file (a key or a certificate)"},
}

// FormatOf returns the format of a file that begins with head (512 bytes, or
// the whole file), or "" if it is not a bundle.
func FormatOf(head []byte) string {
	format, err := sniff(head[:min(len(head), sniffLen)])
	if err != nil {
		return ""
	}
	return format
}

// sniff returns the format of a file by its first sniffLen bytes (or the whole
// file, if it is shorter).
func sniff(head []byte) (string, error) {
	if len(head) == 0 {
		return "", formatError("the file is empty")
	}
	for _, p := range []magic.Packing{magic.Gzip, magic.Zstd} {
		if first := p.First(); len(head) < len(first) && first[:len(head)] == string(head) {
			return "", &DamageError{Kind: ErrTruncated, Offset: int64(len(head)), Err: io.ErrUnexpectedEOF}
		}
	}
	switch p := magic.Of(head); p {
	case magic.Packing{}:
	case magic.Gzip:
		return FormatTarGzip, nil
	case magic.Zstd:
		return FormatTarZstd, nil
	default:
		return "", formatError("%s is not supported; unpack it in a pipe: %s | … -", p.Name, p.Unpack("FILE"))
	}
	for _, s := range signatures {
		if bytes.HasPrefix(head, []byte(s.magic)) {
			return "", formatError("%s", s.says)
		}
	}
	if len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18" {
		return FormatTarZstd, nil // a skippable frame first, as pzstd writes
	}
	// The tar reader checks the header's sum, hence knows headers older than
	// "ustar" too. A block of zeros is an archive without entries.
	if _, err := tar.NewReader(bytes.NewReader(head)).Next(); len(head) == sniffLen && err != tar.ErrHeader {
		return FormatTar, nil
	}
	lower := bytes.ToLower(bytes.TrimSpace(head))
	switch {
	case bytes.HasPrefix(lower, []byte("<!doctype html")), bytes.HasPrefix(lower, []byte("<html")):
		return "", formatError("an HTML page, perhaps a proxy's error page saved under this name")
	case isText(head):
		return "", formatError("a text file")
	}
	return "", formatError("neither tar, tar.gz, tar.zst nor a directory")
}

func isText(b []byte) bool {
	for cut := 1; cut < utf8.UTFMax && !utf8.Valid(b) && len(b) > 0; cut++ {
		b = b[:len(b)-1] // a character that the end of the head broke
	}
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool {
		return unicode.IsControl(r) && !strings.ContainsRune("\t\n\r\f\x1b", r)
	})
}
