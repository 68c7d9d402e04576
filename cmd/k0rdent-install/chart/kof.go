package chart

import (
	"context"
	"errors"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
)

// kof looks at the charts of KOF, the platform's observability, if the registry has
// them: whoever installs one of them later asks for the images and charts that it
// names. The values are those with which the vendor's guide points KOF to a registry.
// charts is where the release's charts are.
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

// kofChart notes what one of KOF's charts asks for, in one version. A name above
// repositories, such as that of Istio's, is no image.
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
		k.wantOptional(KindChart, reference, "KOF").Remark = "what it asks for is not known: " + err.Error()
		return nil
	}
	who := "chart " + name + " " + c.Version()
	for _, i := range m.Images() {
		k.wantOptional(KindImage, i.Reference, who)
	}
	for _, o := range m {
		mentions(o.Content, k.site.Registry, nil, func(scheme, image string, around map[string]any) {
			above, _ := k.site.inside(image + "/")
			if !slices.ContainsFunc(repositories, func(r string) bool { return strings.HasPrefix(r, above) }) {
				k.child(scheme, image, text(around, "version"), who)
			}
		})
	}
	return nil
}
