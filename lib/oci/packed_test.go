package oci

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"
)

// The error for an archive that cannot be inflated names its compression and a
// remedy, even inside one that can, and the archive counts as an image if it is
// named like one.
func TestUnsupportedCompression(t *testing.T) {
	for _, tt := range []struct{ head, entry, unpack string }{
		{"\xfd7zXZ\x00", "tools/a_1.0.tar.xz", "xz -dc ENTRY"},
		{"BZh91AY&SY", "tools/a_1.0.tar.bz2", "bzip2 -dc ENTRY"},
		{"\x04\x22\x4d\x18", "tools/a_1.0.tar.lz4", "lz4 -dc ENTRY"},
		{"7z\xbc\xaf\x27\x1c", "tools/a_1.0.tar.7z", "7z x -so ENTRY"},
		{"PK\x03\x04", "tools/a_1.0.tar.zip", "unzip -p ENTRY"},
		{"LZIP\x01", "tools/a_1.0.tar.lz", "lzip -dc ENTRY"},
		{"\x5d\x00\x00\x80", "tools/a_1.0.tar.lzma", "xz --format=lzma -dc ENTRY"},
		{"\x1f\x9d\x90", "tools/a_1.0.tar.Z", "gzip -dc ENTRY"},
		{"\xfd7zXZ\x00", "tools/a_1.0.txz", "xz -dc ENTRY"},
		{"BZh91AY&SY", "tools/a_1.0.tar", "bzip2 -dc ENTRY"}, // whatever its name says
	} {
		content := []byte(tt.head + strings.Repeat("x", 2000))
		var twice bytes.Buffer
		z := gzip.NewWriter(&twice)
		z.Write(content)
		z.Close()
		for _, packed := range [][]byte{content, twice.Bytes()} {
			_, err := Load(t.Context(), nil, int64(len(packed)), bytes.NewReader(packed), nil)
			if !errors.Is(err, ErrNotArchive) || !strings.Contains(Remedy(err), "("+tt.unpack+")") || Stray(tt.entry, err) {
				t.Errorf("%s: %v (remedy %q), stray %v", tt.entry, err, Remedy(err), Stray(tt.entry, err))
			}
		}
		if _, err := Open(bytes.NewReader(content), int64(len(content))); !strings.Contains(Remedy(err), tt.unpack) {
			t.Errorf("%s, a file: %v (remedy %q)", tt.entry, err, Remedy(err))
		}
	}
	_, err := Load(t.Context(), nil, 600, strings.NewReader(strings.Repeat("x", 600)), nil)
	if Remedy(err) != "" || !Stray("README", err) {
		t.Errorf("%v (remedy %q)", err, Remedy(err))
	}
}
