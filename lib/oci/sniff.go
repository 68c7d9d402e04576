package oci

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"strings"

	"k0rdent-airgap/lib/magic"
)

// sniffLen is how much of the content is examined to detect its kind: one tar
// header.
const sniffLen = 512

// sniff returns an error if content that begins with head cannot be an archive.
func sniff(head []byte) error {
	if reason := whyNot(head); reason != "" {
		return &packedError{notArchive("%s", reason), magic.Of(head)}
	}
	return nil
}

// packedError is an ErrNotArchive about content that may be compressed.
type packedError struct {
	error
	packing magic.Packing
}

func (e *packedError) Unwrap() error { return e.error }

// whyNot returns why content that begins with head cannot be an archive, "" if
// it can. The reasons cover the stray files found in bundles.
func whyNot(head []byte) string {
	switch p := magic.Of(head); {
	case len(head) == 0:
		return "empty"
	case p.Name != "":
		return p.Name
	case len(head) < sniffLen:
		return "not a tar"
	}
	if _, err := tar.NewReader(bytes.NewReader(head)).Next(); err == tar.ErrHeader {
		return "not a tar"
	}
	return ""
}

// looksJSON reports whether a blob that begins with head may be a manifest, an
// index or a config: a JSON object.
func looksJSON(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{"))
}

// checkLayout reads oci-layout, whose only field is the version. All 1.x
// versions read alike (image-layout.md, "oci-layout file").
func checkLayout(raw []byte) error {
	var layout struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(raw, &layout); err != nil {
		return invalid("%s: %v", layoutFile, err)
	}
	if !strings.HasPrefix(layout.Version, "1.") {
		return invalid("%s: unknown version %.20q", layoutFile, layout.Version)
	}
	return nil
}
