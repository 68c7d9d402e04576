package oci

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/nearest"
)

// Platforms are the platforms to select images for. If empty, all are selected.
type Platforms []v1.Platform

func (p Platforms) String() string {
	var all []string
	for _, one := range p {
		all = append(all, one.String())
	}
	return strings.Join(all, ",")
}

// ParsePlatforms parses a comma-separated list such as
// "linux/amd64,linux/arm64". A platform may be spelled in any way that
// containerd accepts, such as the output of "uname -m".
func ParsePlatforms(s string) (Platforms, error) {
	var all Platforms
	for one := range strings.SplitSeq(s, ",") {
		parsed, err := v1.ParsePlatform(one)
		if err != nil || parsed.OS == "" || parsed.Architecture == "" {
			meant := nearest.Likely(normal(v1.Platform{Architecture: one}).Architecture, named.architectures)
			if meant == "" {
				return nil, errors.New("must be OS/ARCHITECTURE such as linux/amd64")
			}
			return nil, fmt.Errorf("must be OS/ARCHITECTURE (did you mean linux/%s?)", meant)
		}
		p := normal(*parsed)
		if meant := mistyped(p); meant != "" {
			return nil, fmt.Errorf("unknown platform %s (did you mean %s?)", one, meant)
		}
		if slices.ContainsFunc(all, p.Equals) {
			return nil, fmt.Errorf("duplicate platform %s", one)
		}
		all = append(all, p)
	}
	return all, nil
}

// named are the operating systems and architectures of Go, in which images name
// their platforms.
var named = struct{ systems, architectures []string }{
	strings.Fields("aix android darwin dragonfly freebsd hurd illumos ios js linux netbsd openbsd plan9 solaris wasi wasip1 wasip2 windows zos"),
	strings.Fields("386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc64 wasm"),
}

// mistyped returns the platform that one with an unknown name is likely a typo
// of, or "". Other unknown names are left to the images that have them.
func mistyped(p v1.Platform) string {
	system, architecture := p.OS, p.Architecture
	if !slices.Contains(named.systems, system) {
		system = nearest.Likely(system, named.systems)
	}
	if !slices.Contains(named.architectures, architecture) {
		architecture = nearest.Likely(architecture, named.architectures)
	}
	if system == "" || architecture == "" || system == p.OS && architecture == p.Architecture {
		return ""
	}
	return system + "/" + architecture
}

// normal returns a platform in the spelling that images use. It follows
// containerd, so that no image that a node would run is left out.
func normal(p v1.Platform) v1.Platform {
	p.OS, p.Architecture, p.Variant = strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	if p.OS == "macos" {
		p.OS = "darwin"
	}
	if p.Variant != "" && p.Variant[0] != 'v' {
		p.Variant = "v" + p.Variant
	}
	p.Variant = strings.TrimSuffix(p.Variant, ".0")
	switch p.Architecture {
	case "i386", "i686", "x86":
		p.Architecture, p.Variant = "386", ""
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf", "armv7l":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel", "armv6l":
		p.Architecture, p.Variant = "arm", "v6"
	}
	if p.Architecture == "amd64" && p.Variant == "v1" || p.Architecture == "arm64" && p.Variant == "v8" {
		p.Variant = ""
	}
	return p
}

// Runs reports whether a machine of platform want runs an image of platform
// have. Without a variant, want matches all of them; with one, it matches
// earlier variants as well, which such a machine runs.
func Runs(want, have v1.Platform) bool {
	want, have = normal(want), normal(have)
	if have.Architecture == "arm" && have.Variant == "" {
		have.Variant = "v7" // as containerd assumes
	}
	if want.Variant != "" && have.Variant <= want.Variant {
		have.Variant = want.Variant
	}
	return have.Satisfies(want)
}
