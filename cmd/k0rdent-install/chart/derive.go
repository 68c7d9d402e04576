package chart

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A derivation collects the values that a site requires.
type derivation struct {
	site     Site
	defaults map[string]any // of the chart and all subcharts, merged
	values   map[string]any
	notes    []Note
}

// Derive returns the values with which the chart pulls everything from the site's
// registry: a repository for each image that the registry has a counterpart of, in
// use or not, and the platform's own settings, each only if the chart has its key.
// Tags stay. Without a registry in site, only settings that are unrelated to it are
// set.
//
// An image without a counterpart keeps its default, with a note; Closure determines
// whether it is required. Use Merge to add the operator's values to the result.
func (c *Chart) Derive(ctx context.Context, site Site, inv Inventory) (map[string]any, []Note, error) {
	defaults, subcharts, err := c.whole(nil)
	if err != nil {
		return nil, nil, err
	}
	d := &derivation{site: site, defaults: defaults, values: map[string]any{}}
	found := walk(defaults, subcharts)
	if site.Registry != "" {
		if !d.hasValue("controller.templatesRepoURL") || !d.hasValue("controller.globalRegistry") {
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

// hasValue reports whether the chart has a value, even if it is null.
func (d *derivation) hasValue(path string) bool { return hasValue(d.defaults, path) }

func hasValue(values map[string]any, path string) bool {
	_, ok := lookup(values, parsePath(path))
	return ok
}

// set sets a value that is not in a list.
func (d *derivation) set(path string, v any) {
	_ = put(d.values, parsePath(path), v, nil) // fails only in lists
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

// registry sets how the platform's controller reaches the registry. Some keys exist
// only since a release: registryCertSecret since kcm 1.1, imagePullSecret since 1.6.
func (d *derivation) registry() {
	s := d.site
	d.set("controller.templatesRepoURL", "oci://"+s.Registry+"/charts")
	d.set("controller.globalRegistry", s.Registry)
	d.secret("controller.registryCertSecret", s.CASecret, "this release does not support a private authority: the registry's certificate must be from one that its images trust")
	d.secret("controller.registryCredsSecret", s.CredsSecret, "this release cannot log in to a registry")
	if s.PlainHTTP {
		if d.hasValue("controller.insecureRegistry") {
			d.set("controller.insecureRegistry", true)
		}
		d.warn("controller.insecureRegistry", "only charts can be pulled over plain HTTP: the Cluster API operator pulls its providers over HTTPS, so the platform will not become ready")
	}
	if s.K0sURL == "" {
		return
	}
	if d.hasValue("controller.globalK0sURL") {
		d.set("controller.globalK0sURL", s.K0sURL)
	}
	host, _, _ := strings.Cut(s.Registry, "/")
	if s.CASecret != "" && strings.HasPrefix(s.K0sURL, "https://"+host+"/") && d.hasValue("controller.k0sURLCertSecret") {
		d.set("controller.k0sURLCertSecret", s.CASecret)
	}
}

// secret sets the name of a secret, or warns of the consequence if the chart has no
// key for it.
func (d *derivation) secret(path, name, otherwise string) {
	switch {
	case name == "":
	case d.hasValue(path):
		d.set(path, name)
	default:
		d.warn(path, "%s", otherwise)
	}
}

// telemetry disables reports to the vendor. The key has moved: it was
// controller.enableTelemetry up to kcm 1.3, telemetry.mode in 1.4, and is
// regional.telemetry.mode since 1.5. The mode "local" requires an image that the
// templates of 1.4 and 1.5 hard-code; "disabled" always works.
func (d *derivation) telemetry() {
	switch {
	case d.hasValue("regional.telemetry.mode"):
		d.set("regional.telemetry.mode", "disabled")
	case d.hasValue("telemetry.mode"):
		d.set("telemetry.mode", "disabled")
	case d.hasValue("controller.enableTelemetry"):
		d.set("controller.enableTelemetry", false)
	}
}

// pullSecrets sets the pull secret in each form that the charts use. The controller's
// own key covers its pod and, in the second pass, the charts that read globals; flux2,
// velero and rbac-manager have keys of their own.
func (d *derivation) pullSecrets(keys []secretKey) error {
	name := d.site.PullSecret
	if name == "" {
		return nil
	}
	d.secret("controller.imagePullSecret", name, "this release does not pass a pull secret to the components that it installs: they require a registry that allows pulls without a login")
	for _, k := range keys {
		v, p := named(name), k.path
		if k.inside {
			v = []any{name}
		}
		if i := slices.Index(p, "global"); i >= 0 {
			p = p[i:] // of all charts: the parent's would override it
		}
		if err := put(d.values, p, v, d.defaults); err != nil {
			return err
		}
	}
	return nil
}

// timeout raises the time that the platform waits for each component.
func (d *derivation) timeout() {
	const key = "controller.defaultHelmTimeout"
	byDefault, _ := time.ParseDuration(text(d.defaults, "controller", "defaultHelmTimeout"))
	if d.site.HelmTimeout > byDefault && d.hasValue(key) {
		d.set(key, d.site.HelmTimeout.String())
	}
}
