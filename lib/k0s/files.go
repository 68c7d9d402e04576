package k0s

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Paths of k0s. All but CertsDir, which our drop-ins name, are k0s's own.
const (
	BinaryPath       = "/usr/local/bin/k0s"
	ConfigPath       = "/etc/k0s/k0s.yaml"
	ContainerdConfig = "/etc/k0s/containerd.toml"
	DropInDir        = "/etc/k0s/containerd.d"
	DropInPath       = DropInDir + "/cri-registry.toml"
	// CertsDir is outside DropInDir, where every change restarts containerd.
	CertsDir = "/etc/k0s/certs.d"
)

// Marker begins the first line of every file that may be rewritten or removed
// without checking whose it is.
const Marker = "# Managed by k0s-mirror-config"

const header = Marker + ": it replaces this file, --remove takes it away.\n"

// ManagedLine is the first line of a ContainerdConfig that k0s rewrites at each
// start, including the drop-ins (k0sproject/k0s,
// pkg/component/worker/containerd).
const ManagedLine = "# k0s_managed=true"

// File is a file of the host.
type File struct {
	Path    string // absolute
	Mode    fs.FileMode
	Content []byte
}

// DefaultHosts returns the registries of the images that k0s and the charts of
// k0rdent use. The directory _default covers all others.
func DefaultHosts() []string {
	return []string{
		"docker.io", "gcr.io", "ghcr.io", "mcr.microsoft.com", "public.ecr.aws", "quay.io",
		"registry.gitlab.com", "registry.k8s.io", vendorHost,
	}
}

// MirrorFiles returns the files that make the containerd of a k0s version pull
// from mirrors, in order, and from nowhere else. There is a directory for each of
// hosts, one for each mirror's own name, and _default for all other registries.
// Images of a mirror's own name are pulled from there, and otherwise from the mirrors
// with the same prefix.
// In each, the authority's certificate comes before the file that names it; the
// drop-in that points containerd there comes last.
//
// Directories must appear complete: a directory without its hosts.toml sends the
// pulls of its registry to the public one.
func MirrorFiles(v Version, mirrors []Mirror, hosts []string) ([]File, error) {
	if !v.DropIns() {
		return nil, fmt.Errorf("k0s %s does not support containerd drop-ins (requires %s or later)", v, dropIns)
	}
	if len(mirrors) == 0 {
		return nil, fmt.Errorf("no mirror")
	}
	own := make(map[string]Mirror)
	all := append([]string{"_default"}, hosts...)
	for _, m := range mirrors {
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("mirror %s: %w", m, err)
		}
		for _, name := range m.names() {
			if _, found := own[name]; !found {
				own[name] = m
			}
			all = append(all, name)
		}
	}
	slices.Sort(all)
	var files []File
	for _, host := range slices.Compact(all) {
		if host != "_default" {
			if err := checkHost(host); err != nil {
				return nil, err
			}
		}
		asked := mapped(mirrors, host)
		if m, found := own[host]; found {
			asked = m.withReplicas(mirrors, v.Containerd())
		}
		f, err := hostFiles(path.Join(CertsDir, host), v.Containerd(), asked)
		if err != nil {
			return nil, err
		}
		files = append(files, f...)
	}
	return append(files, File{DropInPath, 0o644, dropIn(v)}), nil
}

// withReplicas returns the mirrors for images of m's own name, whose path has the prefix
// already: m, and those of mirrors with that prefix. containerd 1 accepts an IPv6 address
// only in the last place.
func (m Mirror) withReplicas(mirrors []Mirror, containerd int) []Mirror {
	own := m.For(m.Host)
	out := []Mirror{own}
	if containerd == 1 && strings.Contains(m.Host, "[") {
		return out
	}
	for _, r := range mirrors {
		same := r.Prefix == m.Prefix
		r = r.For(r.Host)
		if same && !slices.ContainsFunc(out, func(o Mirror) bool { return o.String() == r.String() }) {
			out = append(out, r)
		}
	}
	return out
}

// mapped returns the mirrors as they are requested for the images of a host. If
// two are the same, the last place is kept if one of them has it, since it is
// separate in the file; otherwise the first one.
func mapped(mirrors []Mirror, host string) []Mirror {
	last := mirrors[len(mirrors)-1].For(host)
	var out []Mirror
	seen := map[string]bool{last.String(): true}
	for _, m := range mirrors[:len(mirrors)-1] {
		if m = m.For(host); !seen[m.String()] {
			seen[m.String()] = true
			out = append(out, m)
		}
	}
	return append(out, last)
}

// dropIn returns the drop-in that points containerd to CertsDir. A list of
// directories, which the key accepts, disables all mirrors in containerd 2.
func dropIn(v Version) []byte {
	text := `# For the containerd 1 of k0s up to v1.35; k0s from v1.36 on does not start with this file.
version = 2

[plugins."io.containerd.grpc.v1.cri".registry]
`
	if v.Containerd() == 2 {
		text = `# For the containerd 2 of k0s from v1.36 on; that of older ones does not start with this file.
version = 3

[plugins."io.containerd.cri.v1.images".registry]
`
	}
	return []byte(header + text + "  config_path = " + quote(CertsDir) + "\n")
}

// hostFiles returns a directory of CertsDir: hosts.toml and the files it names.
func hostFiles(dir string, containerd int, mirrors []Mirror) ([]File, error) {
	var files []File
	h := Hosts{}
	mode := fs.FileMode(0o644)
	for i, m := range mirrors {
		e := Entry{Authorization: m.Authorization}
		e.URL, e.OverridePath = m.root()
		if m.Authorization != "" {
			mode = 0o600 // containerd reads it as root
		}
		if len(m.CA) > 0 && m.Scheme == "https" {
			ca, err := certificates(m.CA)
			if err != nil {
				return nil, fmt.Errorf("certificate authority of mirror %s: %w", m, err)
			}
			name := "ca.crt"
			if i < len(mirrors)-1 {
				name = fmt.Sprintf("ca-%d.crt", i+1)
			}
			e.CA = []string{name}
			files = append(files, File{path.Join(dir, name), 0o644, ca})
		}
		if i == len(mirrors)-1 {
			h.Server = e
			continue
		}
		if containerd == 1 && strings.Contains(m.Host, "[") {
			return nil, fmt.Errorf("mirror %s: containerd 1 accepts an IPv6 address only for the last mirror; put it last, or use a name", m)
		}
		h.Hosts = append(h.Hosts, e)
	}
	content, err := h.marshal(containerd)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path.Join(dir, HostsName), err)
	}
	return append(files, File{path.Join(dir, HostsName), mode, content}), nil
}
