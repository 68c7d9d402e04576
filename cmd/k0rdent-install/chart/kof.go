package chart

import (
	"context"
	"errors"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
)

// kof adds what the charts of KOF, the platform's observability, request, if the
// registry has these charts. The values are those of the vendor's guide. charts is the
// repository of the release's charts.
func (k *closure) kof(ctx context.Context, charts string) error {
	below, inside := k.site.inside(charts + "/")
	if !inside {
		return nil
	}
	repositories, err := k.inv.Repositories(ctx)
	if err != nil {
		return err
	}
	values := map[string]any{"global": map[string]any{
		"registry": k.site.Registry, "imageRegistry": k.site.Registry, "image": map[string]any{"registry": k.site.Registry},
		"hub": k.site.Registry + "/istio", "helmChartsRepo": "oci://" + charts,
	}}
	for _, repository := range repositories {
		name, found := strings.CutPrefix(repository, below)
		if !found || name != "kof" && !strings.HasPrefix(name, "kof-") {
			continue
		}
		tags, err := k.inv.Tags(ctx, repository)
		if err != nil {
			return err
		}
		for _, tag := range slices.Sorted(slices.Values(tags)) {
			if strings.HasPrefix(tag, "sha256-") { // signatures
				continue
			}
			if err := k.kofChart(ctx, charts+"/"+name+":"+tag, name, values, repositories); err != nil {
				return err
			}
		}
	}
	return nil
}

// kofChart adds what one version of a chart of KOF requests. A prefix of
// repositories, such as Istio's, is not an image.
func (k *closure) kofChart(ctx context.Context, reference, name string, values map[string]any, repositories []string) error {
	c, err := k.open(ctx, reference)
	var m Manifests
	switch {
	case err == nil:
		m, err = c.render(values, k.site.KubeVersion, common.ReleaseOptions{Name: name, Namespace: "kof", Revision: 1, IsInstall: true})
	case errors.Is(err, ErrNotFound):
		return nil
	case !errors.Is(err, ErrUnusable):
		return err
	}
	if err != nil {
		k.addOptional(KindChart, reference, "KOF").Remark = "cannot determine what it requires: " + err.Error()
		return nil
	}
	by := "chart " + name + " " + c.Version()
	for _, i := range m.Images() {
		k.addOptional(KindImage, i.Reference, by)
	}
	for _, o := range m {
		mentions(o.Content, k.site.Registry, nil, func(scheme, image string, around map[string]any) {
			above, _ := k.site.inside(image + "/")
			if !slices.ContainsFunc(repositories, func(r string) bool { return strings.HasPrefix(r, above) }) {
				k.child(scheme, image, text(around, "version"), by)
			}
		})
	}
	return nil
}
