package k0s

import (
	"fmt"
	"strings"

	"k0rdent-airgap/lib/ref"
)

// Image returns what containerd requests to pull s.
func Image(s string) (ref.Reference, error) {
	r, err := ref.ParseImage(s)
	if err == nil {
		r = r.Normalized()
		err = checkHost(r.Host)
	}
	if err != nil {
		return ref.Reference{}, fmt.Errorf("image %q: %w", s, err)
	}
	return r, nil
}

// checkHost returns an error if host is not a registry in the form in which
// containerd looks for its directory, where case matters.
func checkHost(host string) error {
	if err := ref.CheckHost(host); err != nil {
		return err
	}
	if host != strings.ToLower(host) {
		return fmt.Errorf("invalid host %q: must be lower case", host)
	}
	return nil
}

// Repository returns the repository of r at the mirror, as containerd requests it
// with the files of MirrorFiles.
func (m Mirror) Repository(r ref.Reference) string {
	return m.For(r.Host).site().Repository(r.Repository)
}
