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

// A component is part of a release.
type component struct{ name, template string }

// templates adds what the platform's controller requests after its start. It installs
// the chart kcm-templates of its own version, which has a Release and a template object
// for each chart, then a Management that enables all of the release's providers.
// Without the chart of a ProviderTemplate, the release never becomes ready; without
// that of a ClusterTemplate, the template stays invalid.
func (k *closure) templates(ctx context.Context, version string) error {
	charts, objects, err := k.templateObjects(ctx, version)
	if err != nil || objects == nil {
		return err
	}
	all := templatesOf(objects)
	for _, name := range sortedKeys(all) {
		t := all[name]
		k.add(KindChart, chartReference(charts, t.chart, t.version), t.String())
	}
	for _, c := range componentsOf(objects) {
		t, ok := all[c.template]
		if !ok {
			k.addMissing(KindChart, c.template, "Release, for "+c.name, "kcm-templates does not contain this template")
			continue
		}
		if err := k.part(ctx, chartReference(charts, t.chart, t.version), c.name); err != nil {
			return err
		}
	}
	if err := k.openClusters(ctx, charts, all); err != nil {
		return err
	}
	for _, t := range k.clusterCharts {
		if t.chart != nil {
			k.cluster(t)
		}
	}
	return k.kof(ctx, charts)
}

// templateObjects returns the objects of the chart kcm-templates, nil if there are
// none, and the repository of the charts that they name.
func (k *closure) templateObjects(ctx context.Context, version string) (charts string, objects Manifests, err error) {
	if v, ok := lookup(k.values, parsePath("controller.createRelease")); ok && v == false {
		return "", nil, nil // the release is installed separately
	}
	charts, ok := strings.CutPrefix(text(k.values, "controller", "templatesRepoURL"), "oci://")
	reference := chartReference(charts, "kcm-templates", version)
	const by = "the platform's controller"
	if _, inside := k.site.inside(charts + "/"); !ok || !inside {
		n := k.addMissing(KindChart, reference, by, "not in the site's registry")
		n.Outside, n.Value = true, "controller.templatesRepoURL"
		return "", nil, nil
	}
	k.add(KindChart, reference, by)
	objects, err = k.renderedPart(ctx, reference, by, "kcm-templates", map[string]any{"createRelease": true})
	return charts, objects, err
}

// renderedPart fetches and renders a chart of the registry. It returns nil and no error
// if the chart does not exist, since looking up the need will find that, or does not
// render, which it records.
func (k *closure) renderedPart(ctx context.Context, reference, by, release string, values map[string]any) (Manifests, error) {
	c, err := k.open(ctx, reference)
	if err != nil {
		return nil, k.ignore(err, KindChart, reference, by)
	}
	options := common.ReleaseOptions{Name: release, Namespace: Namespace, Revision: 1, IsInstall: true}
	m, err := c.render(values, k.site.KubeVersion, options)
	if err != nil {
		k.addMissing(KindChart, reference, by, "does not render: %v", err)
		return nil, nil
	}
	return m, nil
}

// ignore handles an error about a need: a missing one is ignored, since looking up the
// need will find that, an unusable one is recorded, and any other error is returned
// with the reference.
func (k *closure) ignore(err error, kind, reference, by string) error {
	if _, moved := errors.AsType[*client.MovedError](err); moved {
		return nil // like a missing one: looking it up will find that
	}
	switch {
	case err == nil, errors.Is(err, ErrNotFound):
		return nil
	case errors.Is(err, ErrUnusable):
		k.addMissing(kind, reference, by, "%v", oneLine(err))
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

// componentsOf returns what the releases among objects enable, except the platform's
// own chart and its regional part, which are in the two passes.
func componentsOf(objects Manifests) []component {
	found := map[component]bool{}
	for _, o := range objects {
		if o.Kind() != "Release" {
			continue
		}
		if t := text(o.Content, "spec", "capi", "template"); t != "" {
			found[component{"capi", t}] = true
		}
		for _, e := range items(o.Content, parsePath("spec.providers")) {
			p, _ := e.(map[string]any)
			found[component{text(p, "name"), text(p, "template")}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b component) int {
		return strings.Compare(a.name+" "+a.template, b.name+" "+b.template)
	})
}
