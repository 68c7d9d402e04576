package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // crypto.SHA256.New
	_ "crypto/sha512" // crypto.SHA384.New, crypto.SHA512.New
	"hash"

	"filippo.io/edwards25519"
)

// algorithms are sigstore's names for hashes, in messageDigest of a bundle.
var algorithms = map[crypto.Hash]string{crypto.SHA256: "SHA2_256", crypto.SHA384: "SHA2_384", crypto.SHA512: "SHA2_512"}

// A scheme is one way in which a signature of a key's kind may have been made.
// All of them start from one pass of a hash over the file.
type scheme struct {
	key    *key
	hash   crypto.Hash
	prefix []byte // hashed before the file
	holds  func(sum []byte) bool
	sum    []byte // of the file, once it has been read
}

// plainSHA256 reports whether the scheme uses the file's digest that is in
// records.
func (s *scheme) plainSHA256() bool { return s.hash == crypto.SHA256 && s.prefix == nil }

func (s *scheme) start() hash.Hash {
	h := s.hash.New()
	h.Write(s.prefix)
	return h
}

// schemes returns the schemes that cosign uses, by key type. cosign 2 hashes
// with SHA-256 for every ECDSA and RSA key; cosign 3 takes SHA-384 for P-384
// and SHA-512 for P-521. For Ed25519 both sign the file itself where no
// transparency log is used, and its SHA-512 digest where one is (RFC 8032,
// Ed25519 and Ed25519ph). RSA is PKCS #1 v1.5. sig must fit the key.
func schemes(k *key, sig []byte) []scheme {
	switch p := k.public.(type) {
	case *ecdsa.PublicKey:
		holds := func(sum []byte) bool { return ecdsa.VerifyASN1(p, sum, sig) }
		all := []scheme{{key: k, hash: crypto.SHA256, holds: holds}}
		switch p.Curve {
		case elliptic.P384():
			all = append(all, scheme{key: k, hash: crypto.SHA384, holds: holds})
		case elliptic.P521():
			all = append(all, scheme{key: k, hash: crypto.SHA512, holds: holds})
		}
		return all
	case *rsa.PublicKey:
		return []scheme{{key: k, hash: crypto.SHA256, holds: func(sum []byte) bool {
			return rsa.VerifyPKCS1v15(p, crypto.SHA256, sum, sig) == nil
		}}}
	case ed25519.PublicKey:
		prefix := append(append([]byte(nil), sig[:32]...), p...)
		return []scheme{
			{key: k, hash: crypto.SHA512, prefix: prefix, holds: func(sum []byte) bool { return ed25519Holds(p, sum, sig) }},
			{key: k, hash: crypto.SHA512, holds: func(sum []byte) bool {
				return ed25519.VerifyWithOptions(p, sum, sig, &ed25519.Options{Hash: crypto.SHA512}) == nil
			}},
		}
	}
	return nil
}

// ed25519Holds verifies an Ed25519 signature R || S of the key A over a message
// whose SHA-512(R || A || message) is sum: RFC 8032, section 5.1.7, in the form
// S·B - k·A = R that crypto/ed25519 checks as well. That package needs the
// whole message in memory, although the equation needs only its digest.
func ed25519Holds(public ed25519.PublicKey, sum, sig []byte) bool {
	if len(public) != ed25519.PublicKeySize || len(sum) != 64 || len(sig) != ed25519.SignatureSize {
		return false
	}
	a, err := new(edwards25519.Point).SetBytes(public)
	if err != nil {
		return false
	}
	k, err := new(edwards25519.Scalar).SetUniformBytes(sum)
	if err != nil {
		return false
	}
	s, err := new(edwards25519.Scalar).SetCanonicalBytes(sig[32:])
	if err != nil {
		return false
	}
	r := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(k, new(edwards25519.Point).Negate(a), s)
	return string(r.Bytes()) == string(sig[:32])
}
