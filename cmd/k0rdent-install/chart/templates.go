package chart

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"

	"k0rdent-airgap/lib/client"
)

// A template is an object that makes a chart available to the platform.
type template struct{ kind, name, chart, version string }

func (t template) String() string { return t.kind + " " + t.name }

// A component is a part that a release enables.
type component struct{ name, template string }

// templates follows the platform's controller after its start: it installs the
// chart kcm-templates of its own version, which holds a Release and a template
// object for each chart; a Management that enables all of the release's
// providers follows. Without a chart of a ProviderTemplate the release never
// becomes ready; without one of a ClusterTemplate that template stays invalid.
func (k *closure) templates(ctx context.Context, version string) error {
	charts, objects, err := k.templateObjects(ctx, version)
	if err != nil || objects == nil {
		return err
	}
	all := templatesOf(objects)
	for _, name := range sortedKeys(all) {
		t := all[name]
		k.want(KindChart, chartReference(charts, t.chart, t.version), t.String())
	}
	for _, c := range componentsOf(objects) {
		t, ok := all[c.template]
		if !ok {
			k.fault(KindChart, c.template, "Release, for "+c.name, "kcm-templates has no such template")
			continue
		}
		if err := k.part(ctx, chartReference(charts, t.chart, t.version), c.name); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(all) {
		if t := all[name]; t.kind == "ClusterTemplate" {
			if err := k.clusters(ctx, chartReference(charts, t.chart, t.version), t); err != nil {
				return err
			}
		}
	}
	return k.kof(ctx, charts)
}

// templateObjects returns the objects of the chart kcm-templates, nil if there
// are none, and where the charts that they name lie.
func (k *closure) templateObjects(ctx context.Context, version string) (charts string, objects Manifests, err error) {
	if v, ok := lookup(k.values, parsePath("controller.createRelease")); ok && v == false {
		return "", nil, nil // somebody else brings the release
	}
	charts, ok := strings.CutPrefix(text(k.values, "controller", "templatesRepoURL"), "oci://")
	reference := chartReference(charts, "kcm-templates", version)
	const who = "the platform's controller"
	if _, inside := k.site.inside(charts + "/"); !ok || !inside {
		n := k.fault(KindChart, reference, who, "not in the site's registry")
		n.Outside, n.Value = true, "controller.templatesRepoURL"
		return "", nil, nil
	}
	k.want(KindChart, reference, who)
	objects, err = k.renderedPart(ctx, reference, who, "kcm-templates", map[string]any{"createRelease": true})
	return charts, objects, err
}

// renderedPart fetches and renders a chart of the registry. It gives nil
// without an error if the chart is not there, which will be found when the
// need for it is looked up, or if it does not render, which it notes.
func (k *closure) renderedPart(ctx context.Context, reference, who, release string, values map[string]any) (Manifests, error) {
	c, err := k.open(ctx, reference)
	if err != nil {
		return nil, k.ignore(err, KindChart, reference, who)
	}
	options := common.ReleaseOptions{Name: release, Namespace: Namespace, Revision: 1, IsInstall: true}
	m, err := c.render(values, k.site.KubeVersion, options)
	if err != nil {
		k.fault(KindChart, reference, who, "does not render: %v", err)
		return nil, nil
	}
	return m, nil
}

// ignore handles an error about something that was wanted: a missing one is ignored,
// since looking up the need will find it, an unusable one is recorded, and any other
// error is returned with the reference.
func (k *closure) ignore(err error, kind, reference, who string) error {
	if _, moved := errors.AsType[*client.MovedError](err); moved {
		return nil // as one that is not there: it is wanted, and will be looked up
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case errors.Is(err, ErrUnusable):
		k.fault(kind, reference, who, "%v", oneLine(err))
		return nil
	default:
		return fmt.Errorf("%s: %w", reference, err)
	}
}

// templatesOf returns the templates among objects, by name.
func templatesOf(objects Manifests) map[string]template {
	all := map[string]template{}
	for _, o := range objects {
		chart := text(o.Content, "spec", "helm", "chartSpec", "chart")
		if !strings.HasSuffix(o.Kind(), "Template") || chart == "" {
			continue
		}
		all[o.Name()] = template{o.Kind(), o.Name(), chart, text(o.Content, "spec", "helm", "chartSpec", "version")}
	}
	return all
}

// componentsOf lists what the releases among objects enable, but for the
// platform's own chart and its regional part, which both passes have shown.
func componentsOf(objects Manifests) []component {
	found := map[component]bool{}
	for _, o := range objects {
		if o.Kind() != "Release" {
			continue
		}
		if t := text(o.Content, "spec", "capi", "template"); t != "" {
			found[component{"capi", t}] = true
		}
		v, _ := lookup(o.Content, parsePath("spec.providers"))
		list, _ := v.([]any)
		for _, e := range list {
			p, _ := e.(map[string]any)
			found[component{text(p, "name"), text(p, "template")}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b component) int {
		return strings.Compare(a.name+" "+a.template, b.name+" "+b.template)
	})
}
