package ref

import (
	"crypto/sha256"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// The vendor's further bundles, bare metal and Ceph, keep their members in
// charts, images and bins. There a file's own name is the whole reference, with
// "&" for "/" and "@" for ":", and its directory is not part of it. The guide for
// Ceph drops the first two parts, the registry that the image came from and its
// project.

// cephBundle is the prefix of the Ceph bundle's file name.
const cephBundle = "airgap-bundle-ceph-"

// filesDir is the directory of files that are for an HTTP server.
const filesDir = "bins"

// Plain returns the name of an entry of a bundle, which is a file name or a path,
// as the rules of this package read it: decoded if the file's own name has a "&"
// or "@", otherwise unchanged.
func Plain(bundle, entry string) string {
	return decode(entry, strings.HasPrefix(path.Base(bundle), cephBundle))
}

// digestPart matches the digest in a name that has a tag as well.
var digestPart = regexp.MustCompile(`^([^@]+@[^@]+)@sha256[@&:][0-9a-f]{64}`)

// decode decodes an entry's name. The parts that the guide drops are dropped if
// asked, or if the first one is a host, since no repository of the vendor begins with
// one. After a host, a project of the bundle for bare metal is kept, since its guide
// drops none.
func decode(entry string, drop bool) string {
	base := path.Base(entry)
	if !packed(base) {
		return entry
	}
	name := strings.NewReplacer("&", "/", "@", ":").Replace(digestPart.ReplaceAllString(base, "$1"))
	parts := strings.Split(name, "/")
	switch {
	case !drop && !HasHost(name):
	case !drop && len(parts) > 2 && strings.HasPrefix(parts[1], "k0rdent-"):
		parts = parts[1:]
	default:
		parts = parts[min(2, len(parts)-1):]
	}
	return strings.Join(parts, "/")
}

// packed reports whether a file's own name is a whole reference.
func packed(base string) bool { return strings.ContainsAny(base, "&@") }

// IsFile reports whether an entry is a file for an HTTP server, whatever its
// content.
func IsFile(entry string) bool {
	_, found := belowBins(entry)
	return found
}

// belowBins returns the part of an entry's name that is below the directory of
// files.
func belowBins(entry string) (name string, found bool) {
	if name, found = strings.CutPrefix(entry, filesDir+"/"); !found {
		_, name, found = strings.Cut(entry, "/"+filesDir+"/")
	}
	return name, found
}

// The longest path that FileName returns, and the longest of its parts, in bytes.
const (
	maxFileName = 512
	maxFilePart = 200
)

// fileCharacters are those of a file's name besides letters and digits. It ends
// up in a path on disk and in an address.
const fileCharacters = "._+:~=,-"

// FileName returns the path below the address of an HTTP server under which the
// vendor's guide makes an entry available: its name decoded, without ".tar". It
// is safe as a relative path: no part of it is empty or starts with a dot or a
// hyphen.
func FileName(entry string) (string, error) {
	name, _ := belowBins(entry)
	name = strings.NewReplacer("&", "/", "@", ":", ".tar", "").Replace(name)
	if err := CheckFileName(name); err != nil {
		return "", err
	}
	return name, nil
}

// CheckFileName returns an error unless FileName can return name.
func CheckFileName(name string) error {
	if len(name) > maxFileName {
		return &problem{"file name", name[:64] + "…", fmt.Sprintf("must not be longer than %d characters", maxFileName)}
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part[0] == '.' || part[0] == '-':
			return &problem{"file name", name, "no part may be empty or start with . or -"}
		case len(part) > maxFilePart:
			return &problem{"file name", name, fmt.Sprintf("no part may be longer than %d characters", maxFilePart)}
		case strings.Trim(part, fileCharacters+alphanumeric) != "":
			return &problem{"file name", name, "must be of a-z, A-Z, 0-9 and " + fileCharacters}
		}
	}
	return nil
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// The type of the artifact that holds a file, and the annotation of its manifest
// with the file's name.
const (
	FileArtifact = "application/vnd.k0rdent-airgap.file.v1"
	FileNameKey  = "vnd.k0rdent-airgap.file.name"
)

// FilesRepository is the first part of the repositories that hold files.
const FilesRepository = "files"

// ForFile returns the reference under which a registry holds a file: the
// repository is its directory and the tag its own name. If either must be changed
// to be valid, the tag ends with a digest of the name, so that no two names have
// the same reference.
func ForFile(name string) Reference {
	dir, base := path.Split(name)
	want := Reference{Repository: path.Join(FilesRepository, dir), Tag: base}
	if want.Check() == nil && !sumTag(base) {
		return want
	}
	r := Reference{Repository: FilesRepository}
	for part := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		part = strings.Trim(replaced(strings.ToLower(part), isRepository), "-")
		if part != "" && len(r.Repository)+1+len(part) <= maxRepository/2 {
			r.Repository += "/" + part
		}
	}
	tag := strings.TrimLeft(replaced(base, isTag), ".-")
	sum := fmt.Sprintf("_%x", sha256.Sum256([]byte(name)))
	r.Tag = tag[:min(len(tag), 100)] + sum[:1+sumDigits]
	return r
}

// sumDigits is how many digits of a digest a changed tag ends with.
const sumDigits = 16

// sumTag reports whether a tag could be that of another file's changed name.
func sumTag(tag string) bool {
	at := len(tag) - sumDigits - 1
	return at >= 0 && tag[at] == '_' && strings.Trim(tag[at+1:], "0123456789abcdef") == ""
}

// replaced returns text with a hyphen for each byte that is not valid.
func replaced(text string, valid func(byte) bool) string {
	b := []byte(text)
	for i, c := range b {
		if !valid(c) {
			b[i] = '-'
		}
	}
	return string(b)
}

func isRepository(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func isTag(c byte) bool { return strings.IndexByte(alphanumeric+"._-", c) >= 0 }
