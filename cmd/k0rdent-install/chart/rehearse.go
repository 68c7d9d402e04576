package chart

import (
	"context"
	"net/url"
	"slices"
	"strings"
)

// How machines access the site's registry.
const (
	PublicCA  = "public-ca" // every machine trusts its certificate
	OwnCA     = "own-ca"    // the site's own authority signed its certificate
	Login     = "login"     // reading requires a login; its certificate is public
	PlainHTTP = "http"      // it does not use TLS
)

// Accesses lists all of them, in the order of cells.
var Accesses = []string{PublicCA, OwnCA, Login, PlainHTTP}

// A Cell reports whether machines of a family become nodes of a cluster of a
// template, with one kind of access to the registry. They do if it has no Problems
// and nothing is Unknown.
type Cell struct {
	Template, Family, Access string

	Problems []Problem
	Unknown  []Problem // what cannot be determined
}

// A Problem is a reason why a cell fails or is unknown, and its remedy.
type Problem struct{ Text, Remedy string }

// Names of secrets that stand for those of the platform's controller.
const (
	rehearsedCA    = "rehearsed-ca"
	rehearsedLogin = "rehearsed-login"
)

// controllerLogin is what the platform's controller writes under the key
// containerdAuth of the login's Secret (k0rdent/kcm, makeContainerdAuth in
// internal/controller/management_controller.go, up to 1.12).
const controllerLogin = `[plugins."io.containerd.grpc.v1.cri".registry.configs.%q.auth]
password = ""
username = ""
`

// A rehearsal determines cells.
type rehearsal struct {
	*closure
	needs []Need
	has   func(ctx context.Context, file string) error
	files map[string]error // results of has, by file
}

// Rehearse returns the cells of every cluster template of the release, for each family
// and each access. has looks for a file below site.K0sURL; its error wraps ErrNotFound
// if there is none, and client.ErrLogin if a login is required. The values are as for
// Closure.
func (c *Chart) Rehearse(ctx context.Context, values map[string]any, site Site, inv Inventory, has func(ctx context.Context, file string) error) ([]Cell, error) {
	k, err := c.collect(ctx, values, site, inv)
	if err != nil {
		return nil, err
	}
	r := &rehearsal{closure: k, has: has, files: map[string]error{}}
	if r.needs, err = k.resolve(ctx); err != nil {
		return nil, err
	}
	var all []Cell
	for _, t := range k.clusterCharts {
		cells, err := r.template(ctx, t)
		if err != nil {
			return nil, err
		}
		all = append(all, cells...)
	}
	return all, nil
}

// template returns the cells of one template.
func (r *rehearsal) template(ctx context.Context, t clusterChart) ([]Cell, error) {
	var common Cell // problems of all cells
	r.checkContent(&common, t)
	rendered, failed := map[string]Manifests{}, map[string]error{}
	for _, access := range Accesses {
		if t.chart != nil {
			rendered[access], failed[access] = r.renderCluster(t.chart, r.clusterGlobals(access))
		}
	}
	var all []Cell
	for _, family := range Families {
		for _, access := range Accesses {
			cell := Cell{Template: t.name, Family: family, Access: access}
			cell.Problems, cell.Unknown = slices.Clone(common.Problems), slices.Clone(common.Unknown)
			switch {
			case t.chart == nil && len(cell.Problems) == 0:
				cell.unknown(pushAgain+r.site.Registry, "its chart %s cannot be read", t.reference)
			case failed[access] != nil:
				cell.unknown("create a ClusterDeployment of it with your values and dryRun: true", "the chart does not render without a cluster's values: %v", failed[access])
			case t.chart != nil:
				if err := r.cell(ctx, &cell, rendered[access]); err != nil {
					return nil, err
				}
			}
			all = append(all, cell)
		}
	}
	return all, nil
}

// clusterGlobals returns the globals that the platform's controller sets for a
// cluster's chart (k0rdent/kcm, internal/controller/clusterdeployment_controller.go),
// without keys that this release's controller does not have.
func (r *rehearsal) clusterGlobals(access string) map[string]any {
	global := map[string]any{"registry": r.site.Registry, "k0sURL": r.k0sURL(access), "registryCertSecret": "", "k0sURLCertSecret": ""}
	if access == OwnCA {
		if hasValue(r.values, "controller.registryCertSecret") {
			global["registryCertSecret"] = rehearsedCA
		}
		if hasValue(r.values, "controller.k0sURLCertSecret") && r.ownHTTPS(r.k0sURL(access)) {
			global["k0sURLCertSecret"] = rehearsedCA
		}
	}
	if access == Login && hasValue(r.values, "controller.registryCredsSecret") {
		global["registryCredentialSecret"] = rehearsedLogin
	}
	return global
}

// k0sURL returns the URL from which machines download k0s. At the registry's own
// address, it has the scheme of access.
func (r *rehearsal) k0sURL(access string) string {
	u, err := url.Parse(r.site.K0sURL)
	if err != nil || u.Host != r.host() || (u.Scheme == "http") == r.site.PlainHTTP && access != PlainHTTP {
		return r.site.K0sURL
	}
	u.Scheme = "https"
	if access == PlainHTTP {
		u.Scheme = "http"
	}
	return u.String()
}

// host returns the registry's HOST[:PORT].
func (r *rehearsal) host() string {
	host, _, _ := strings.Cut(r.site.Registry, "/")
	return host
}

// ownHTTPS reports whether an address uses the registry's certificate.
func (r *rehearsal) ownHTTPS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Hostname() == (&url.URL{Host: r.host()}).Hostname()
}

// checkContent checks that the registry has what a template requires: its chart, what
// that names, and the components that create its clusters.
func (r *rehearsal) checkContent(c *Cell, t clusterChart) {
	requiring := []string{t.String()}
	if t.chart != nil {
		for name := range strings.SplitSeq(t.chart.meta.Annotations["cluster.x-k8s.io/provider"], ",") {
			_, provider, found := strings.Cut(strings.TrimSpace(name), "infrastructure-")
			if rest, ok := strings.CutPrefix(strings.TrimSpace(name), "bootstrap-"); ok {
				provider, found = rest, true
			}
			if found {
				requiring = append(requiring, "component cluster-api-provider-"+provider)
			}
		}
		requiring = append(requiring, "component capi")
	}
	for _, n := range r.needs {
		if !slices.ContainsFunc(n.RequiredBy, func(by string) bool {
			by, _, _ = strings.Cut(by, ", artifact ")
			return slices.Contains(requiring, by)
		}) {
			continue
		}
		switch {
		case n.Moved != nil:
			c.problem("push the verified bundle again", "%v", n.Moved)
		case n.Missing && n.Remark != "":
			c.problem("", "%s %s: %s", n.Kind, n.Reference, n.Remark)
		case n.Missing:
			c.problem(pushAgain+r.site.Registry, "%s %s is not in the registry", n.Kind, n.Reference)
		}
	}
}
