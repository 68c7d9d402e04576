package registry

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// maxManifest bounds a manifest in bytes: the least that distribution-spec, "Pushing
// Manifests", requires.
const maxManifest = 4 << 20

const (
	mediaTypeImage       = "application/vnd.oci.image.manifest.v1+json"
	mediaTypeIndex       = "application/vnd.oci.image.index.v1+json"
	mediaTypeDockerImage = "application/vnd.docker.distribution.manifest.v2+json"
)

// manifest holds the fields of image manifests and indexes that a registry uses.
type manifest struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       *Descriptor       `json:"config"`
	Manifests    present           `json:"manifests"`
	Subject      *Descriptor       `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

// present is true if a field exists, whatever its value.
type present bool

func (p *present) UnmarshalJSON([]byte) error {
	*p = true
	return nil
}

// parseManifest parses a manifest with the media type that the client gave, or "".
// The result's is never empty. The error is ErrManifestInvalid.
func parseManifest(data []byte, given string) (*manifest, error) {
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrManifestInvalid, err)
	}
	switch {
	case m.MediaType != "" && given != "" && m.MediaType != given:
		return nil, fmt.Errorf("%w: Content-Type %.64q, but mediaType %.64q", ErrManifestInvalid, given, m.MediaType)
	case given != "":
		m.MediaType = given
	case m.MediaType != "":
	case bool(m.Manifests): // mediaType is optional in OCI manifests
		m.MediaType = mediaTypeIndex
	case m.Config != nil:
		m.MediaType = mediaTypeImage
	default:
		return nil, fmt.Errorf("%w: no Content-Type and no mediaType", ErrManifestInvalid)
	}
	if !mediaTypeForm.MatchString(m.MediaType) {
		return nil, fmt.Errorf("%w: not a media type: %.64q", ErrManifestInvalid, m.MediaType)
	}
	if m.isImage() {
		if m.Config == nil {
			return nil, fmt.Errorf("%w: image manifest without config", ErrManifestInvalid)
		}
		if _, err := ParseDigest(string(m.Config.Digest)); err != nil {
			return nil, fmt.Errorf("%w: config: %v", ErrManifestInvalid, err)
		}
	}
	if m.Subject != nil {
		if _, err := ParseDigest(string(m.Subject.Digest)); err != nil {
			return nil, fmt.Errorf("%w: subject: %v", ErrManifestInvalid, err)
		}
	}
	return &m, nil
}

// mediaTypeForm is the form of RFC 6838, section 4.2, which bounds the length.
var mediaTypeForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}$`)

func (m *manifest) isImage() bool {
	return m.MediaType == mediaTypeImage || m.MediaType == mediaTypeDockerImage
}

func (m *manifest) subject() Digest {
	if m.Subject == nil {
		return ""
	}
	return m.Subject.Digest
}

// referrer returns the manifest's descriptor in a list of referrers
// (distribution-spec, "Listing Referrers").
func (m *manifest) referrer(d Digest, size int64) Descriptor {
	desc := Descriptor{
		MediaType:    m.MediaType,
		Digest:       d,
		Size:         size,
		ArtifactType: m.ArtifactType,
		Annotations:  m.Annotations,
	}
	if desc.ArtifactType == "" && m.isImage() {
		desc.ArtifactType = m.Config.MediaType
	}
	return desc
}
