package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"k0rdent-airgap/lib/cli"
)

// bundleJSON is a signature bundle: sigstore's, as cosign 3 writes (message
// Bundle of its protobuf-specs, as JSON), or, with the last three fields, that
// of cosign 2.
type bundleJSON struct {
	MediaType string `json:"mediaType"`
	Material  struct {
		PublicKey *struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
		Certificate *certificateJSON `json:"certificate"`
		Chain       struct {
			Certificates []certificateJSON `json:"certificates"`
		} `json:"x509CertificateChain"`
		LogEntries []json.RawMessage `json:"tlogEntries"`
		Timestamps struct {
			RFC3161 []json.RawMessage `json:"rfc3161Timestamps"`
		} `json:"timestampVerificationData"`
	} `json:"verificationMaterial"`
	Message *struct {
		Digest struct {
			Algorithm string `json:"algorithm"`
			Digest    []byte `json:"digest"`
		} `json:"messageDigest"`
		Signature []byte `json:"signature"`
	} `json:"messageSignature"`
	Envelope json.RawMessage `json:"dsseEnvelope"`

	Signature string          `json:"base64Signature"`
	Cert      string          `json:"cert"` // PEM, perhaps in base64
	Rekor     json.RawMessage `json:"rekorBundle"`
}

type certificateJSON struct {
	DER []byte `json:"rawBytes"`
}

// mediaTypePrefix is the prefix of the media type of all versions of sigstore's
// bundles.
const mediaTypePrefix = "application/vnd.dev.sigstore.bundle"

// parseBundle parses a JSON bundle. Only its signature is trusted, once it has
// been verified.
func parseBundle(content []byte) (*signature, error) {
	var b bundleJSON
	if err := json.Unmarshal(content, &b); err != nil {
		return nil, fmt.Errorf("not a signature bundle: %w", err)
	}
	s := &signature{}
	switch {
	case b.Message != nil && strings.HasPrefix(b.MediaType, mediaTypePrefix):
		s.forms = [][]byte{b.Message.Signature}
		s.digest = digest{b.Message.Digest.Algorithm, b.Message.Digest.Digest}
	case b.Envelope != nil:
		return nil, cli.Hint(errors.New("an attestation about the file (DSSE envelope), not a signature of it"), "get the signature that cosign sign-blob made")
	case b.Signature != "":
		decoded, err := decodeBase64([]byte(b.Signature))
		if err != nil {
			return nil, fmt.Errorf("base64Signature: %w", err)
		}
		s.forms = [][]byte{decoded}
	default:
		return nil, errors.New("JSON without a signature")
	}
	if len(s.forms[0]) == 0 {
		return nil, errors.New("its signature is empty")
	}
	if b.Material.PublicKey != nil {
		s.key = fingerprintOf(b.Material.PublicKey.Hint)
	}
	s.addCertificate(b.certificate())
	entries := len(b.Material.LogEntries)
	if len(b.Rekor) > 0 && string(b.Rekor) != "null" {
		entries++
	}
	s.note(entries, "an entry of a transparency log", "%d entries of transparency logs")
	s.note(len(b.Material.Timestamps.RFC3161), "a signed timestamp", "%d signed timestamps")
	return s, nil
}

// certificate returns the DER form of the signer's certificate, if there is
// one.
func (b *bundleJSON) certificate() []byte {
	switch {
	case b.Material.Certificate != nil:
		return b.Material.Certificate.DER
	case len(b.Material.Chain.Certificates) > 0:
		return b.Material.Chain.Certificates[0].DER
	case b.Cert == "":
		return nil
	}
	text := []byte(b.Cert)
	if decoded, err := decodeBase64(text); err == nil {
		text = decoded
	}
	if block, _ := pem.Decode(text); block != nil {
		return block.Bytes
	}
	return text
}

// fingerprintOf parses cosign's hint for a key: the base64 of the SHA-256 of
// its PKIX DER form. It returns "" for hints in any other form.
func fingerprintOf(hint string) string {
	sum, err := base64.StdEncoding.DecodeString(hint)
	if err != nil || len(sum) != sha256.Size {
		return ""
	}
	return "sha256:" + hex.EncodeToString(sum)
}

// note records other contents of a bundle: one, or many with %d.
func (s *signature) note(n int, one, many string) {
	switch {
	case n == 1:
		s.unchecked = append(s.unchecked, one)
	case n > 1:
		s.unchecked = append(s.unchecked, fmt.Sprintf(many, n))
	}
}

// addCertificate records the certificate in a bundle and its key.
func (s *signature) addCertificate(der []byte) {
	if der == nil {
		return
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		s.unchecked = append(s.unchecked, "a certificate that cannot be read")
		return
	}
	k := &key{public: c.PublicKey}
	if k.describe() == nil {
		s.key = k.fingerprint
	}
	s.certificate = fmt.Sprintf("certificate of %s from %s", owner(c), c.Issuer)
	s.unchecked = append(s.unchecked, "the "+s.certificate)
}

// owner returns the holder of a certificate: sigstore's authority puts the
// identity in the alternative names and leaves the subject empty.
func owner(c *x509.Certificate) string {
	names := append(append([]string(nil), c.EmailAddresses...), c.DNSNames...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	if len(names) == 0 {
		return c.Subject.String()
	}
	return strings.Join(names, ", ")
}
