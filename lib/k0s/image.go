package k0s

import (
	"fmt"
	"regexp"
	"strings"

	"k0rdent-airgap/lib/ref"
)

// Image is the reference of an image as containerd reads it.
type Image struct {
	Host       string // the registry's name: quay.io
	Repository string // path in it: k0sproject/coredns
	Reference  string // tag, or digest where there is one
}

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$|^sha512:[0-9a-f]{128}$`)

// ParseImage reads a reference as containerd does, by Docker's rules: a first
// part without dot and port is no registry, images without one are at
// docker.io, and there those without a path are in library/.
func ParseImage(s string) (Image, error) {
	i := Image{Host: "docker.io", Repository: s, Reference: "latest"}
	if first, rest, found := strings.Cut(s, "/"); found && (strings.ContainsAny(first, ".:") || first == "localhost") {
		i.Host, i.Repository = first, rest
	}
	if i.Host == "index.docker.io" {
		i.Host = "docker.io"
	}
	if err := CheckHost(i.Host); err != nil {
		return Image{}, fmt.Errorf("image %q: %w", s, err)
	}
	name, digest, pinned := strings.Cut(i.Repository, "@")
	if colon := strings.LastIndexByte(name, ':'); colon >= 0 {
		i.Repository, i.Reference = name[:colon], name[colon+1:]
		if err := ref.CheckTag(i.Reference); err != nil {
			return Image{}, fmt.Errorf("image %q: %w", s, err)
		}
	} else {
		i.Repository = name
	}
	if pinned {
		if i.Reference = digest; !digestPattern.MatchString(digest) {
			return Image{}, fmt.Errorf("image %q: %q is not a digest", s, digest)
		}
	}
	if i.Host == "docker.io" && !strings.Contains(i.Repository, "/") {
		i.Repository = "library/" + i.Repository
	}
	if err := ref.CheckRepository(i.Repository); err != nil {
		return Image{}, fmt.Errorf("image %q: %w", s, err)
	}
	return i, nil
}

// At gives the repository of the image at a mirror: what containerd asks for
// when it reads the files of MirrorFiles.
func (i Image) At(m Mirror) string {
	return strings.TrimPrefix(m.For(i.Host).Prefix+"/"+i.Repository, "/")
}

// String gives the whole reference.
func (i Image) String() string {
	separator := ":"
	if digestPattern.MatchString(i.Reference) {
		separator = "@"
	}
	return i.Host + "/" + i.Repository + separator + i.Reference
}
