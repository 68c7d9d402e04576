package registry

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// FuzzParseManifest: a parsed manifest has a media type, digests that are safe in
// paths, and a descriptor for a list of referrers.
func FuzzParseManifest(f *testing.F) {
	f.Add(image(dig256, "note"), mediaTypeImage)
	f.Add([]byte(`{"manifests":null,"subject":{"digest":"`+dig512+`"}}`), "")
	f.Add([]byte(`{"config":{"digest":"sha256:../../etc"},"annotations":{"a":1}}`), mediaTypeDockerImage)
	f.Fuzz(func(t *testing.T, data []byte, mediaType string) {
		m, err := parseManifest(data, mediaType)
		if err != nil {
			if !errors.Is(err, ErrManifestInvalid) {
				t.Fatalf("parseManifest: %v is no ErrManifestInvalid", err)
			}
			return
		}
		if m.MediaType == "" || mediaType != "" && m.MediaType != mediaType {
			t.Fatalf("media type %q, given %q", m.MediaType, mediaType)
		}
		if m.isImage() && strings.Contains(m.Config.Digest.Path(), "..") || strings.Contains(m.subject().Path(), "..") {
			t.Fatalf("config %q, subject %q", m.Config.Digest, m.subject())
		}
		if _, err := json.Marshal(m.referrer(dig256, int64(len(data)))); err != nil {
			t.Fatal(err)
		}
	})
}
