package oci

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"strings"
)

// sniffLen is how much of a content its kind is told from: one tar header.
const sniffLen = 512

// packings are the first bytes of what is compressed.
var packings = []struct{ name, magic string }{
	{gzipped, "\x1f\x8b"},
	{zstandard, "\x28\xb5\x2f\xfd"},
	{"xz", "\xfd7zXZ\x00"},
	{"bzip2", "BZh"},
	{"lz4", "\x04\x22\x4d\x18"},
}

// The packings that can be inflated.
const (
	gzipped   = "gzip"
	zstandard = "zstd"
)

// packing returns how content that begins with head is compressed, "" if not.
func packing(head []byte) string {
	for _, p := range packings {
		if bytes.HasPrefix(head, []byte(p.magic)) {
			return p.name
		}
	}
	return ""
}

// sniff returns the error of content that begins with head and therefore cannot
// be an archive.
func sniff(head []byte) error {
	if reason := whyNot(head); reason != "" {
		return notArchive("%s", reason)
	}
	return nil
}

// whyNot returns why content that begins with head cannot be an archive, "" if it
// can. The reasons are those for which strays lie in bundles.
func whyNot(head []byte) string {
	switch name := packing(head); {
	case len(head) == 0:
		return "empty"
	case name != "":
		return name
	case len(head) < sniffLen:
		return "not a tar"
	}
	if _, err := tar.NewReader(bytes.NewReader(head)).Next(); err == tar.ErrHeader {
		return "not a tar"
	}
	return ""
}

// looksJSON tells whether a blob that begins with head may be a manifest, an
// index or a config: a JSON object.
func looksJSON(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{"))
}

// checkLayout reads oci-layout, whose only field is the version. All 1.x can
// be read alike (image-layout.md, "oci-layout file").
func checkLayout(raw []byte) error {
	var layout struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(raw, &layout); err != nil {
		return invalid("%s: %v", layoutFile, err)
	}
	if !strings.HasPrefix(layout.Version, "1.") {
		return invalid("%s: version %.20q is not known", layoutFile, layout.Version)
	}
	return nil
}
