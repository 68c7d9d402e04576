package main

import (
	"fmt"
	"slices"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/pemfile"
	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/textfile"
)

// mirrors returns the mirrors with their authorities and login: those of the
// flags, or otherwise those of the records. None is not an error.
func (t *tool) mirrors() ([]k0s.Mirror, error) {
	all := append([]k0s.Mirror(nil), t.cfg.mirrors...)
	if len(all) == 0 {
		var err error
		if all, err = t.in.mirrors(); err != nil {
			return nil, err
		}
	}
	var ca []byte
	for _, path := range t.cfg.ca {
		_, text, err := pemfile.Certificates(path)
		if err != nil {
			return nil, cli.Misuse("--ca: %w", err)
		}
		ca = append(ca, text...)
	}
	authorization, err := t.authorization()
	if err != nil {
		return nil, err
	}
	secure := false
	for i := range all {
		m := &all[i]
		if m.Scheme == "http" { // no password in the clear
			if !ref.Loopback(m.Host) {
				t.progress.Warn("%s uses plain HTTP: anyone on the network path can change images", m)
			}
			continue
		}
		secure = true
		m.Authorization = authorization
		if len(ca) > 0 {
			m.CA = ca
		}
	}
	if authorization != "" && len(all) > 0 && !secure {
		return nil, cli.Misuse("--username requires an https mirror: a password is not sent in the clear")
	}
	return all, nil
}

func (t *tool) authorization() (string, error) {
	if t.cfg.username == "" {
		return "", nil
	}
	password, err := textfile.Password(t.cfg.passwordFile)
	if err != nil {
		return "", cli.Misuse("--password-file: %w", err)
	}
	return k0s.BasicAuth(t.cfg.username, password), nil
}

// mirrors returns the registries in the records: where oci-serve listens, or
// otherwise where oci-push sent images. The latter also have the prefix.
func (in *input) mirrors() ([]k0s.Mirror, error) {
	var all []k0s.Mirror
	for _, r := range in.registries {
		m, err := k0s.ParseMirror(r.URL)
		if err != nil {
			return nil, fmt.Errorf("registry record: url: %w", err)
		}
		if m.Scheme == "http" && !ref.Loopback(m.Host) {
			return nil, cli.Hint(fmt.Errorf("the registry %s speaks plain HTTP", m), "give --mirror %s to allow that, or serve over TLS", m)
		}
		if r.CA != "" {
			if _, m.CA, err = pemfile.Certificates(r.CA); err != nil {
				return nil, fmt.Errorf("registry record: %w", err)
			}
		}
		all = append(all, m)
	}
	known := len(all) > 0
	for _, place := range in.pushed {
		m, err := k0s.ParseMirror(place.String())
		if err != nil {
			return nil, fmt.Errorf("image record: registry: %w", err)
		}
		at := slices.IndexFunc(all, func(o k0s.Mirror) bool { return sameHost(o.Host, m.Host) })
		switch {
		case at >= 0:
			all[at].Prefix = m.Prefix
		case known: // a registry of another site, or one behind the first
		case ref.Loopback(m.Host):
			return nil, cli.Hint(fmt.Errorf("images were pushed to %s, which means something else on every host", m.Host), "give --mirror with the registry's address on the network")
		default:
			all = append(all, m)
		}
	}
	return all, nil
}

// sameHost reports whether two names are one registry: equal, or the same port
// of this machine.
func sameHost(a, b string) bool {
	port := func(host string) string { return host[strings.LastIndexByte(host, ':')+1:] }
	return a == b || ref.Loopback(a) && ref.Loopback(b) && port(a) == port(b)
}
