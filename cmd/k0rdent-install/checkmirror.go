package main

import (
	"bytes"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
)

// mirrorHint is what makes containerd pull from the site.
func (p *preflight) mirrorHint() string {
	hint := "k0s-mirror-config --mirror https://" + p.site.at
	if p.cfg.plainHTTP {
		hint = "k0s-mirror-config --mirror http://" + p.site.at
	}
	if p.cfg.ca != "" {
		hint += " --ca " + p.cfg.ca
	}
	return hint
}

// checkMirror looks whether containerd will pull from the site's registry,
// and trust its certificate: k0s's own images depend on that, and so does
// every image whose name is the registry's own.
func (p *preflight) checkMirror() {
	if p.site == nil {
		return
	}
	have, err := hostfile.Read(p.host.root + k0s.DropInPath)
	if errors.Is(err, fs.ErrNotExist) {
		p.fail("mirror", p.mirrorHint(), "there is no %s: containerd would pull from public registries, and not trust the site's", p.host.root+k0s.DropInPath)
		return
	}
	if err != nil {
		p.fail("mirror", "", "%v", err)
		return
	}
	m, err := k0s.ParseMirror(p.site.at)
	if err != nil {
		p.fail("mirror", "", "%v", err)
		return
	}
	files, err := k0s.MirrorFiles(p.k0s.version, []k0s.Mirror{m}, nil)
	if err != nil {
		p.fail("mirror", "", "%v", err)
		return
	}
	if bytes.HasPrefix(have, []byte(k0s.Marker)) && !bytes.Equal(have, files[len(files)-1].Content) {
		p.fail("mirror", p.mirrorHint(), "%s was written for another version of k0s than %v", p.host.root+k0s.DropInPath, p.k0s.version)
		return
	}
	hosts := []string{p.site.host}
	if p.cfg.k0sImages == imagesMirror {
		hosts = append(hosts, "quay.io", "registry.k8s.io")
	}
	for _, host := range hosts {
		p.checkHosts(host)
	}
}

// checkHosts looks where containerd asks for the images of one registry: in a
// directory of its name or in _default.
func (p *preflight) checkHosts(host string) {
	path := ""
	for _, name := range []string{host, "_default"} {
		path = filepath.Join(p.host.certs, name, k0s.HostsName)
		if _, err := os.Stat(filepath.Dir(path)); err == nil {
			break
		}
	}
	text, err := hostfile.Read(path)
	if err != nil {
		p.fail("mirror", p.mirrorHint(), "images of %s: %v", host, err)
		return
	}
	h, err := k0s.ReadHosts(text)
	if err != nil {
		p.fail("mirror", p.mirrorHint(), "images of %s: %s: %v", host, path, err)
		return
	}
	for _, e := range append(h.Hosts, h.Server) {
		if u, err := url.Parse(e.URL); err == nil && strings.EqualFold(u.Host, p.site.host) {
			return
		}
	}
	p.warn("mirror", "images of %s: %s leads to %s, not to %s", host, path, orText(h.Server.URL, "the public registry"), p.site.host)
}
