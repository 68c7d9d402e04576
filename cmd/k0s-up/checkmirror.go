package main

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
)

// mirrorHint returns the command that makes containerd pull from the site's
// registry.
func (u *up) mirrorHint() string {
	scheme := "https"
	if u.cfg.PlainHTTP {
		scheme = "http"
	}
	hint := "k0s-mirror-config --mirror " + scheme + "://" + u.site.at
	if u.cfg.CA != "" {
		hint += " --ca " + u.cfg.CA
	}
	return hint
}

// checkMirror checks that containerd will pull from the site's registry and trust
// its certificate. k0s's own images depend on that, and so does every image that
// names the registry.
func (u *up) checkMirror() {
	if u.site == nil {
		return
	}
	path := u.host.root + k0s.DropInPath
	have, noFile := hostfile.Read(path)
	var files []k0s.File
	m, err := k0s.ParseMirror(u.site.at)
	if err == nil {
		files, err = k0s.MirrorFiles(u.k0s.version, []k0s.Mirror{m}, nil)
	}
	switch {
	case errors.Is(noFile, fs.ErrNotExist):
		u.Fail("mirror", u.mirrorHint(), "%s does not exist: containerd would pull from public registries, and would not trust the site's", path)
		return
	case noFile != nil || err != nil:
		u.Fail("mirror", "", "%v", cmp.Or(noFile, err))
		return
	case bytes.HasPrefix(have, []byte(k0s.Marker)) && !bytes.Equal(have, files[len(files)-1].Content):
		u.Fail("mirror", u.mirrorHint(), "%s was written for another version of k0s than %v", path, u.k0s.version)
		return
	}
	hosts := []string{u.site.host}
	if u.cfg.k0sImages == imagesMirror {
		hosts = append(hosts, "quay.io", "registry.k8s.io")
	}
	for _, host := range hosts {
		u.checkHosts(host)
	}
}

// checkHosts checks which registry containerd asks for the images of host.
func (u *up) checkHosts(host string) {
	path := ""
	for _, name := range k0s.HostDirs(host) {
		path = filepath.Join(u.host.certs, name, k0s.HostsName)
		if _, err := os.Stat(filepath.Dir(path)); err == nil {
			break
		}
	}
	text, err := hostfile.Read(path)
	if err != nil {
		u.Fail("mirror", u.mirrorHint(), "images of %s: %v", host, err)
		return
	}
	h, err := k0s.ReadHosts(text)
	if err != nil {
		u.Fail("mirror", u.mirrorHint(), "images of %s: %s: %v", host, path, err)
		return
	}
	for _, e := range append(h.Hosts, h.Server) {
		if at, err := url.Parse(e.URL); err == nil && strings.EqualFold(at.Host, u.site.host) {
			return
		}
	}
	u.Warn("mirror", "images of %s: %s leads to %s, not to %s", host, path, cmp.Or(h.Server.URL, "the public registry"), u.site.host)
}
