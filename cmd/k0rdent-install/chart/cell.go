package chart

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/k0s"
)

// OpenReading is the remedy if machines have no login, or not in a form that their
// k0s supports.
const OpenReading = `allow anyone to read ("oci-serve --read any"), behind a network policy or a firewall, and omit --username`

// Remedies of many cells. A registry's address follows pushAgain.
const (
	pushAgain = "bundle-ls BUNDLE | oci-push --to "
	createOne = "create one cluster of the template before you rely on it"
)

// cell completes a cell from the objects that the template renders to.
func (r *rehearsal) cell(ctx context.Context, c *Cell, objects Manifests) error {
	if r.setUpElsewhere(c, objects) {
		return nil
	}
	all, other := machines(objects)
	for _, kind := range other {
		c.unknown(createOne, "its machines are set up by %s, not by k0smotron", kind)
	}
	if len(all) == 0 && len(other) == 0 {
		c.unknown(createOne, "the template does not say how its machines are set up")
	}
	for _, m := range all {
		if err := r.checkDownload(ctx, c, m); err != nil {
			return err
		}
		machine := c.bootstrap(m)
		switch c.Access {
		case OwnCA:
			r.checkTrust(c, m, machine)
		case PlainHTTP:
			r.checkPlainHTTP(c, m, objects)
		}
		r.checkDropIns(c, m)
	}
	return nil
}

// setUpElsewhere reports whether the machines of a template are set up by something
// that the template does not show, and adds what is unknown as a result.
func (r *rehearsal) setUpElsewhere(c *Cell, objects Manifests) bool {
	for _, o := range objects {
		group, _, _ := strings.Cut(text(o.Content, "apiVersion"), "/")
		_, provider, _ := strings.Cut(group, ".")
		switch kind := o.Kind(); {
		case kind == "SveltosCluster":
			c.unknown("on a node of that cluster, pull an image: crictl pull "+r.site.Registry+"/REPOSITORY:TAG",
				"it creates no machines: whether those of the existing cluster reach the registry depends on their configuration")
		case provider != "cluster.x-k8s.io":
			continue
		case strings.HasSuffix(kind, "ManagedControlPlane"):
			c.unknown("let its machines reach "+r.host()+" and trust its certificate, and "+createOne,
				"the cloud sets up its machines (%s): what they download and trust is not in the template", kind)
		case kind == "DevMachineTemplate" || kind == "DockerMachineTemplate":
			c.unknown("use it only where the Docker host has internet access",
				"its machines are containers of a Docker host (%s), for development: where they get k0s is not in the template", kind)
		default:
			continue
		}
		return true
	}
	return false
}

// checkDownload looks for the k0s that a machine downloads, and for the images that
// this k0s certainly uses.
func (r *rehearsal) checkDownload(ctx context.Context, c *Cell, m machine) error {
	if !m.versioned {
		c.unknown(createOne, "%s does not name a version of k0s", m.object)
	} else if err := r.checkKubeProxy(ctx, c, m.version); err != nil {
		return err
	}
	below := strings.TrimSuffix(r.k0sURL(c.Access), "/") + "/"
	file, inside := strings.CutPrefix(m.downloadURL, below)
	switch {
	case m.preloaded:
		return nil
	case m.downloadURL == "" && r.site.K0sLogin:
		c.problem(OpenReading, "machines download k0s from the internet, since %s requires a login for it, which they do not have", r.host())
		return nil
	case m.downloadURL == "":
		c.problem("--k0s-url URL of a place in the site, such as https://"+r.host()+"/k0s", "machines download k0s from the internet")
		return nil
	case !inside || below == "/":
		c.problem("--k0s-url URL", "machines download k0s from %s, which is not below --k0s-url", m.downloadURL)
		return nil
	}
	found, asked := r.files[file]
	if !asked {
		found = r.has(ctx, file)
		r.files[file] = found
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(found, ErrNotFound):
		c.problem("push the image k0sproject/k0s:"+m.version.Tag()+" to a registry that oci-serve serves, or put the file there", "%s has no %s", r.site.K0sURL, file)
	case errors.Is(found, client.ErrLogin) && c.Access == Login:
		c.problem(OpenReading, "machines download k0s without a login, and %s requires one", r.site.K0sURL)
	case found != nil:
		c.unknown("make sure that "+r.site.K0sURL+" answers, then run the same command again", "cannot determine whether %s has %s: %v", r.site.K0sURL, file, found)
	}
	return nil
}

// checkKubeProxy looks for kube-proxy, the only image of k0s whose version is known
// without running k0s: it is that of Kubernetes.
func (r *rehearsal) checkKubeProxy(ctx context.Context, c *Cell, v k0s.Version) error {
	const repository = "k0sproject/kube-proxy"
	tags, err := r.inv.Tags(ctx, repository)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if !slices.ContainsFunc(tags, func(tag string) bool { return tag == v.Kubernetes() || strings.HasPrefix(tag, v.Kubernetes()+"-") }) {
		c.problem(pushAgain+r.site.Registry, "image %s/%s:%s of k0s %s is not in the registry", r.site.Registry, repository, v.Kubernetes(), v)
	}
	return nil
}

// bootstrap simulates what a machine does before it downloads k0s, and returns its
// state at that point.
func (c *Cell) bootstrap(m machine) *root {
	r := newRoot(c.Family)
	for _, f := range m.files {
		r.write(f.path, f.secret == rehearsedCA)
	}
	for _, line := range m.commands {
		r.missing, r.unknown = nil, nil
		status, err := runScript(line, r.perform)
		switch {
		case err != nil:
			r.uncertain = true
			c.unknown(createOne, "cannot determine what machines do in %q: %v", line, err)
		case status == 127 && len(r.missing) > 0:
			c.problem("use machines of the other family, or upgrade to a release whose templates support both",
				"machines run %s, which the %s family does not have", strings.Join(r.missing, ", "), familyNames[c.Family])
		case len(r.unknown) > 0:
			r.uncertain = true
			c.unknown(createOne, "cannot determine whether the %s family has %s", familyNames[c.Family], strings.Join(r.unknown, ", "))
		case status != 0:
			c.unknown(createOne, "machines run %q, which fails when it is simulated", line)
		}
	}
	return r
}

var familyNames = map[string]string{Debian: "Debian", RHEL: "RHEL"}

// checkTrust checks that a machine trusts the site's authority, except one that has
// run unknown commands.
func (r *rehearsal) checkTrust(c *Cell, m machine, booted *root) {
	if booted.uncertain {
		return
	}
	if !booted.trusts(false) {
		c.problem("use machine images that trust the authority, or upgrade to a release whose templates install it on both families",
			"containerd on the machines does not trust the registry's certificate")
	}
	u, err := url.Parse(m.downloadURL)
	switch {
	case m.preloaded || err != nil || u.Scheme != "https":
	case !r.ownHTTPS(m.downloadURL):
		c.unknown("serve k0s from the registry itself and omit --k0s-url, or "+createOne, "cannot determine whether machines trust the certificate of %s", u.Host)
	case !booted.trusts(true):
		c.problem("serve files over plain HTTP as well: oci-serve --files-http [HOST]:PORT", "curl on the machines does not trust the certificate of %s, from which it downloads k0s", u.Host)
	}
}

// checkDropIns checks that the k0s of a machine starts with the template's drop-ins,
// and that one of them contains the login.
func (r *rehearsal) checkDropIns(c *Cell, m machine) {
	login := false
	for _, f := range m.files {
		if path.Dir(f.path) != k0s.DropInDir || path.Ext(f.path) != ".toml" {
			continue
		}
		login = login || f.secret == rehearsedLogin
		content := f.text
		switch {
		case f.secret == rehearsedLogin && f.key == "containerdAuth":
			content = fmt.Sprintf(controllerLogin, r.host())
		case f.secret != "" || content == "":
			c.unknown(createOne, "the content of %s is not in the template", f.path)
			continue
		}
		if !m.versioned {
			c.unknown(createOne, "cannot determine whether k0s starts with %s", f.path)
			continue
		}
		if _, reason := m.version.ReadDropIn([]byte(content)); reason != "" {
			remedy := "use a k0s that supports the file, or a template without it"
			if f.secret == rehearsedLogin {
				remedy = OpenReading
			}
			c.problem(remedy, "%s: %s", f.path, reason)
		}
	}
	if c.Access == Login && !login {
		c.problem(OpenReading, "containerd on the machines has no login for the registry")
	}
}

// checkPlainHTTP checks that a machine can use a registry without TLS.
func (r *rehearsal) checkPlainHTTP(c *Cell, m machine, objects Manifests) {
	const remedy = "serve the registry over TLS: oci-serve --tls auto"
	configured := slices.ContainsFunc(m.files, func(f machineFile) bool {
		return strings.HasPrefix(f.path, k0s.CertsDir+"/") && strings.Contains(f.text, "http://"+r.host())
	})
	if !configured {
		c.problem(remedy, "containerd on the machines uses HTTPS for the registry: nothing configures it for plain HTTP")
	}
	if !m.versioned || m.version.Compare(k0s.Version{Major: 1, Minor: 33}) < 0 {
		return
	}
	for _, o := range objects {
		mentions(o.Content, r.site.Registry, nil, func(scheme, _ string, _ map[string]any) {
			if scheme == "oci://" {
				c.problem(remedy, "k0s %s cannot pull charts over plain HTTP", m.version)
			}
		})
	}
}

// problem adds a problem unless the cell already has it.
func (c *Cell) problem(remedy, format string, args ...any) {
	addNew(&c.Problems, Problem{Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

// unknown adds something that cannot be determined, unless the cell already has it.
func (c *Cell) unknown(remedy, format string, args ...any) {
	addNew(&c.Unknown, Problem{Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

// addNew adds an element to a list that does not contain it.
func addNew[E comparable](list *[]E, e E) {
	if !slices.Contains(*list, e) {
		*list = append(*list, e)
	}
}
