package chart

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A derivation collects the values that a site needs.
type derivation struct {
	site     Site
	defaults map[string]any // of the chart and all subcharts, merged
	values   map[string]any
	notes    []Note
}

// Derive finds the values with which the chart takes everything from the
// site's registry: a repository for each image of which the registry has a
// counterpart, whether the image is in use or not, and the platform's own
// settings, each only where the chart has its key. Tags are left alone. With
// no registry in site, only what has nothing to do with one is set.
//
// What has no counterpart gets a note and keeps its default; whether that
// matters is Closure's to say. The operator's values are laid over the result
// with Merge.
func (c *Chart) Derive(ctx context.Context, site Site, inv Inventory) (map[string]any, []Note, error) {
	h, defaults, err := c.whole(nil)
	if err != nil {
		return nil, nil, err
	}
	d := &derivation{site: site, defaults: defaults, values: map[string]any{}}
	roots := map[string]bool{"": true}
	subcharts(h, "", roots)
	found := walk(defaults, roots)
	if site.Registry != "" {
		if !d.knows("controller.templatesRepoURL") || !d.knows("controller.globalRegistry") {
			return nil, nil, fmt.Errorf("chart %s %s: no controller.templatesRepoURL and controller.globalRegistry in its values: not the platform's chart", c.Name(), c.Version())
		}
		repositories, err := inv.Repositories(ctx)
		if err != nil {
			return nil, nil, err
		}
		if err := d.images(found.leaves, repositories); err != nil {
			return nil, nil, err
		}
		d.registry()
		d.telemetry()
	}
	if err := d.pullSecrets(found.secrets); err != nil {
		return nil, nil, err
	}
	d.timeout()
	if err := d.try(c); err != nil {
		return nil, nil, err
	}
	return d.values, d.notes, nil
}

// knows reports whether the chart has a value, be it null.
func (d *derivation) knows(path string) bool {
	_, ok := lookup(d.defaults, parsePath(path))
	return ok
}

// set sets a value whose way leads through tables only.
func (d *derivation) set(path string, v any) {
	_ = put(d.values, parsePath(path), v, nil) // fails in lists only
}

func (d *derivation) note(value, format string, args ...any) {
	d.notes = append(d.notes, Note{Value: value, Text: fmt.Sprintf(format, args...)})
}

func (d *derivation) warn(value, format string, args ...any) {
	d.notes = append(d.notes, Note{Value: value, Text: fmt.Sprintf(format, args...), Warning: true})
}

func (d *derivation) images(leaves []leaf, repositories []string) error {
	have := map[string]bool{}
	for _, r := range repositories {
		have[r] = true
	}
	for _, l := range leaves {
		repository, ok := match(l.name, have)
		if !ok {
			d.note(l.path.String(), "the registry has no counterpart of %s", l.name)
			continue
		}
		value := l.before + d.site.Registry + "/" + repository + l.after
		if err := put(d.values, l.path, value, d.defaults); err != nil {
			return err
		}
		if l.registry != nil {
			if err := put(d.values, l.registry, "", d.defaults); err != nil {
				return err
			}
		}
	}
	return nil
}

// registry sets how the platform's controller reaches the registry. The keys
// came with releases: registryCertSecret with kcm 1.1, imagePullSecret with 1.6.
func (d *derivation) registry() {
	s := d.site
	d.set("controller.templatesRepoURL", "oci://"+s.Registry+"/charts")
	d.set("controller.globalRegistry", s.Registry)
	d.secret("controller.registryCertSecret", s.CASecret, "this release knows no authority but the ones that its images trust: the registry's certificate must come from one of those")
	d.secret("controller.registryCredsSecret", s.CredsSecret, "this release cannot log in to a registry")
	if s.PlainHTTP {
		if d.knows("controller.insecureRegistry") {
			d.set("controller.insecureRegistry", true)
		}
		d.warn("controller.insecureRegistry", "only charts can be taken over plain HTTP: the Cluster API operator asks for its providers over HTTPS, and the platform will not become ready")
	}
	if s.K0sURL == "" {
		return
	}
	if d.knows("controller.globalK0sURL") {
		d.set("controller.globalK0sURL", s.K0sURL)
	}
	host, _, _ := strings.Cut(s.Registry, "/")
	if s.CASecret != "" && strings.HasPrefix(s.K0sURL, "https://"+host+"/") && d.knows("controller.k0sURLCertSecret") {
		d.set("controller.k0sURLCertSecret", s.CASecret)
	}
}

// secret sets the name of a secret, or reports the consequence if the chart has no
// key for it.
func (d *derivation) secret(path, name, otherwise string) {
	switch {
	case name == "":
	case d.knows(path):
		d.set(path, name)
	default:
		d.warn(path, "%s", otherwise)
	}
}

// telemetry switches off what reports to the vendor. The key moved: it was
// controller.enableTelemetry up to kcm 1.3, telemetry.mode in 1.4, and is
// regional.telemetry.mode from 1.5 on. The mode "local" needs an image that
// 1.4 and 1.5 name in their templates, so "disabled" is what always works.
func (d *derivation) telemetry() {
	switch {
	case d.knows("regional.telemetry.mode"):
		d.set("regional.telemetry.mode", "disabled")
	case d.knows("telemetry.mode"):
		d.set("telemetry.mode", "disabled")
	case d.knows("controller.enableTelemetry"):
		d.set("controller.enableTelemetry", false)
	}
}

// pullSecrets names the pull secret in every form that the charts know. The
// controller's own key reaches its pod and, in the second pass, the charts
// that read globals; flux2, velero and rbac-manager have keys of their own.
func (d *derivation) pullSecrets(keys []secretKey) error {
	name := d.site.PullSecret
	if name == "" {
		return nil
	}
	d.secret("controller.imagePullSecret", name, "this release hands no pull secret to the parts that it installs: they need a registry that asks for none")
	for _, k := range keys {
		v, p := named(name), k.path
		if k.inside {
			v = []any{name}
		}
		if i := slices.Index(p, "global"); i >= 0 {
			p = p[i:] // of all charts, or the parent's would win
		}
		if err := put(d.values, p, v, d.defaults); err != nil {
			return err
		}
	}
	return nil
}

// timeout raises how long the platform waits for each part that it installs.
func (d *derivation) timeout() {
	const key = "controller.defaultHelmTimeout"
	byDefault, _ := time.ParseDuration(text(d.defaults, "controller", "defaultHelmTimeout"))
	if d.site.HelmTimeout > byDefault && d.knows(key) {
		d.set(key, d.site.HelmTimeout.String())
	}
}
