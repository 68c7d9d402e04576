package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"k0rdent-airgap/lib/cli"
)

// Release is the object that lists the templates of a version of the platform. It is
// published as release.yaml and in the chart kcm-templates.
type Release struct {
	object *unstructured.Unstructured
}

// errNotRelease is ParseRelease's error for any other object.
var errNotRelease = errors.New("not a Release of k0rdent.mirantis.com")

// ParseRelease parses a Release in YAML or JSON: one object with a name, a version and
// the templates of kcm and Cluster API.
func ParseRelease(text []byte) (*Release, error) {
	u := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict(text, &u.Object); err != nil {
		return nil, err
	}
	if u.GroupVersionKind().GroupKind() != releaseKind || u.GroupVersionKind().Version == "" {
		return nil, errNotRelease
	}
	for _, path := range [][]string{{"metadata", "name"}, {"spec", "version"}, {"spec", "kcm", "template"}, {"spec", "capi", "template"}} {
		if s, _, err := unstructured.NestedString(u.Object, path...); err != nil || s == "" {
			return nil, fmt.Errorf("%w: no %s.%s", errNotRelease, path[0], path[len(path)-1])
		}
	}
	// Drop the fields that a server adds to an object.
	clean := object(u.GetAPIVersion(), u.GetKind(), "", u.GetName())
	clean.SetAnnotations(u.GetAnnotations())
	clean.SetLabels(merged(clean.GetLabels(), u.GetLabels()))
	spec, ok := u.Object["spec"].(map[string]any)
	if !ok {
		return nil, errNotRelease
	}
	var err error
	if clean.Object["spec"], err = plain(spec); err != nil {
		return nil, err
	}
	return &Release{clean}, nil
}

// Name returns the object's name, such as kcm-1-2-3.
func (r *Release) Name() string { return r.object.GetName() }

// Version returns the platform's version, such as 1.2.3.
func (r *Release) Version() string {
	s, _, _ := unstructured.NestedString(r.object.Object, "spec", "version")
	return s
}

// providers returns the templates that a Release or Management has for its providers, by
// name, "" for none.
func providers(u *unstructured.Unstructured) map[string]string {
	list, _, _ := unstructured.NestedSlice(u.Object, "spec", "providers")
	templates := make(map[string]string)
	for _, item := range list {
		m, _ := item.(map[string]any)
		if name, ok := m["name"].(string); ok {
			templates[name], _ = m["template"].(string)
		}
	}
	return templates
}

// UpgradePlan describes what Upgrade will do.
type UpgradePlan struct {
	Status  Status // Upgraded, Configured or Unchanged
	Have    string // name of the Release in Management's spec
	Want    string
	Changes []string // of Management's values
	New     []string // providers of the new Release that Management does not enable
}

// PlanUpgrade returns what Upgrade would do, and changes nothing. It is an error if the
// new Release lacks a provider that Management enables, which could never become ready.
func (c *Cluster) PlanUpgrade(ctx context.Context, r *Release, values map[string]any) (*UpgradePlan, error) {
	want, err := plain(values)
	if err != nil {
		return nil, err
	}
	m, err := c.management(ctx)
	if err != nil {
		return nil, fmt.Errorf("management %s: %w", managementName, err)
	}
	if m == nil {
		return nil, cli.Hint(fmt.Errorf("management %s does not exist, so there is nothing to upgrade", managementName), "run k0rdent-install without --upgrade to install it")
	}
	p := &UpgradePlan{Status: Unchanged, Want: r.Name(), Changes: changes(valuesOf(m), want)}
	p.Have, _, _ = unstructured.NestedString(m.Object, "spec", "release")
	enabled, offered := providers(m), providers(r.object)
	for _, name := range slices.Sorted(maps.Keys(enabled)) {
		if _, ok := offered[name]; !ok && enabled[name] == "" {
			return nil, fmt.Errorf("release %s has no provider %s, which management %s enables", r.Name(), name, managementName)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(offered)) {
		if _, ok := enabled[name]; !ok {
			p.New = append(p.New, name)
		}
	}
	switch {
	case p.Have != p.Want:
		p.Status = Upgraded
	case len(p.Changes) > 0:
		p.Status = Configured
	}
	return p, nil
}

// Upgrade upgrades the platform to a Release: it creates the Release, waits until kcm
// has found all of its templates in the registry, and then sets it in Management and
// merges values. WaitReady waits for the rest.
//
// Values and Release change in one step. In two, charts of the old version would be
// upgraded with values for the new one, which a closed schema would reject.
func (c *Cluster) Upgrade(ctx context.Context, r *Release, values map[string]any, warn func(string)) (*UpgradePlan, error) {
	if _, err := c.PlanUpgrade(ctx, r, values); err != nil {
		return nil, err
	}
	ctx, unlock, err := c.hold(ctx, warn)
	if err != nil {
		return nil, err
	}
	defer unlock()
	p, err := c.PlanUpgrade(ctx, r, values)
	if err != nil || p.Status == Unchanged {
		return p, err
	}
	if values, err = plain(values); err != nil {
		return nil, err
	}
	if p.Have != p.Want {
		if _, err := c.ensure(ctx, r.object); err != nil {
			return nil, fmt.Errorf("release %s: %w", r.Name(), err)
		}
		if err := c.waitRelease(ctx, r.Name()); err != nil {
			return nil, err
		}
	}
	return p, c.change(ctx, func(m *unstructured.Unstructured) error {
		if err := configure(m, values); err != nil {
			return err
		}
		return unstructured.SetNestedField(m.Object, r.Name(), "spec", "release")
	})
}

// waitRelease waits until kcm reports that a Release is ready.
func (c *Cluster) waitRelease(ctx context.Context, name string) error {
	left := "release " + name + " is not ready"
	return c.wait(ctx, pause, func() (string, error) {
		r, err := c.release(ctx, name)
		switch {
		case err == nil && r == nil:
			return "", fmt.Errorf("release %s was deleted", name)
		case err == nil:
			left = oneLine(releaseNotReady(r))
		}
		return left, nil
	})
}
