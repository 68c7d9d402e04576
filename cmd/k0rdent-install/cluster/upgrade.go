package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"k0rdent-airgap/lib/cli"
)

// Release is the object that names the templates of a version of the
// platform. It is published as release.yaml, and is in the chart kcm-templates.
type Release struct {
	object *unstructured.Unstructured
}

// ErrNotRelease is what ParseRelease says of any other object.
var ErrNotRelease = errors.New("not a Release of k0rdent.mirantis.com")

// ParseRelease reads a Release in YAML or JSON: one object with a name, a
// version and the templates of kcm and Cluster API.
func ParseRelease(text []byte) (*Release, error) {
	u := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict(text, &u.Object); err != nil {
		return nil, err
	}
	if u.GroupVersionKind().GroupKind() != releaseKind || u.GroupVersionKind().Version == "" {
		return nil, ErrNotRelease
	}
	for _, path := range [][]string{{"metadata", "name"}, {"spec", "version"}, {"spec", "kcm", "template"}, {"spec", "capi", "template"}} {
		if s, _, err := unstructured.NestedString(u.Object, path...); err != nil || s == "" {
			return nil, fmt.Errorf("%w: no %s.%s", ErrNotRelease, path[0], path[len(path)-1])
		}
	}
	// What a server writes into an object, a new one must not bring along.
	clean := object(u.GetAPIVersion(), u.GetKind(), "", u.GetName())
	clean.SetAnnotations(u.GetAnnotations())
	labels := clean.GetLabels()
	for k, v := range u.GetLabels() {
		labels[k] = v
	}
	clean.SetLabels(labels)
	spec, ok := u.Object["spec"].(map[string]any)
	if !ok {
		return nil, ErrNotRelease
	}
	var err error
	if clean.Object["spec"], err = plain(spec); err != nil {
		return nil, err
	}
	return &Release{clean}, nil
}

// Name is the object's name, such as kcm-1-2-3.
func (r *Release) Name() string { return r.object.GetName() }

// Version is the platform's version, such as 1.2.3.
func (r *Release) Version() string {
	s, _, _ := unstructured.NestedString(r.object.Object, "spec", "version")
	return s
}

// providers lists the names of the providers that a Release or a Management has.
func providers(u *unstructured.Unstructured) []string {
	list, _, _ := unstructured.NestedSlice(u.Object, "spec", "providers")
	var names []string
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			if name, ok := m["name"].(string); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

// UpgradePlan is what Upgrade will do.
type UpgradePlan struct {
	Status  Status // Upgraded, Configured or Unchanged
	Have    string // name of the Release that Management asks for
	Want    string
	Changes []Change // of Management's values
	New     []string // providers of the new Release that Management does not enable
}

// PlanUpgrade returns what Upgrade would do, and changes nothing. A provider that
// Management enables and the new Release does not have is an error: kcm could
// never make it ready.
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
		return nil, cli.Hint(fmt.Errorf("management %s: it does not exist, so there is nothing to upgrade", managementName), "install first")
	}
	p := &UpgradePlan{Status: Unchanged, Want: r.Name(), Changes: changes(config(m), want)}
	p.Have, _, _ = unstructured.NestedString(m.Object, "spec", "release")
	enabled, offered := providers(m), providers(r.object)
	for _, name := range enabled {
		if !slices.Contains(offered, name) && !hasTemplate(m, name) {
			return nil, fmt.Errorf("release %s: it has no provider %s, which management %s enables", r.Name(), name, managementName)
		}
	}
	for _, name := range offered {
		if !slices.Contains(enabled, name) {
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

// hasTemplate reports whether Management names a template for a provider itself.
func hasTemplate(m *unstructured.Unstructured, name string) bool {
	list, _, _ := unstructured.NestedSlice(m.Object, "spec", "providers")
	return slices.ContainsFunc(list, func(item any) bool {
		p, _ := item.(map[string]any)
		template, _ := p["template"].(string)
		return p["name"] == name && template != ""
	})
}

// Upgrade brings the platform to a Release: creates the Release, waits until
// kcm has found all of its templates in the registry, and then points Management
// to it, with values added to those that it has. WaitReady waits for the rest.
//
// Values and Release change in one step. In two, the charts of the old version
// would be upgraded with values for the new one, and those of them that have a
// closed schema would refuse.
func (c *Cluster) Upgrade(ctx context.Context, r *Release, values map[string]any, warn func(string)) (*UpgradePlan, error) {
	if _, err := c.PlanUpgrade(ctx, r, values); err != nil {
		return nil, err
	}
	ctx, giveBack, err := c.hold(ctx, warn)
	if err != nil {
		return nil, err
	}
	defer giveBack()
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

// waitRelease waits until kcm calls a Release ready.
func (c *Cluster) waitRelease(ctx context.Context, name string) error {
	start := time.Now()
	for {
		r, err := c.release(ctx, name)
		if err == nil && r == nil {
			return fmt.Errorf("release %s: it was deleted", name)
		}
		if err == nil && releaseNotReady(r) == "" {
			return nil
		}
		if ctx.Err() != nil {
			if !timedOut(ctx) {
				return context.Cause(ctx)
			}
			what := "release " + name + " is not ready"
			if r != nil {
				what = oneLine(releaseNotReady(r))
			}
			return c.stuck(ctx, what, start)
		}
		client, failure := c.resource(releaseKind, "")
		if err != nil || failure != nil {
			Sleep(ctx, pause)
			continue
		}
		w, err := client.Watch(ctx, metav1.ListOptions{FieldSelector: named(name), ResourceVersion: r.GetResourceVersion()})
		oneEvent(ctx, w, err, glance)
	}
}
