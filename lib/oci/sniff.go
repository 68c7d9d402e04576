package oci

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"strings"
)

// sniffLen is how much of a content its kind is told from: one tar header.
const sniffLen = 512

// sniff says why content that begins with head cannot be an archive. The
// reasons are those for which strays lie in bundles.
func sniff(head []byte) error {
	switch {
	case len(head) == 0:
		return notArchive("empty")
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return notArchive("gzip")
	case len(head) < sniffLen:
		return notArchive("not a tar")
	}
	if _, err := tar.NewReader(bytes.NewReader(head)).Next(); err == tar.ErrHeader {
		return notArchive("not a tar")
	}
	return nil
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
