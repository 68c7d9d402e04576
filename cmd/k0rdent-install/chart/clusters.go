package chart

import (
	"context"

	"helm.sh/helm/v4/pkg/chart/common"

	"k0rdent-airgap/lib/ref"
)

// clusters looks at a cluster template: the add-on charts and the images that
// clusters made from it will ask for. Its chart holds them as texts in texts
// (files of a control plane, values of add-ons) and most images without their
// tags, which are in the add-on charts; so images are looked for by their
// repositories. None of it is needed before somebody makes such a cluster.
func (k *closure) clusters(ctx context.Context, reference string, t template) error {
	c, err := k.open(ctx, reference)
	if err != nil {
		return k.ignore(err, KindChart, reference, t.String())
	}
	global := globals(k.values)
	global["k0sURL"] = text(k.values, "controller", "globalK0sURL")
	options := common.ReleaseOptions{Name: "cluster", Namespace: Namespace, Revision: 1, IsInstall: true}
	m, err := c.render(map[string]any{"global": global}, k.site.KubeVersion, options)
	if err != nil { // it wants values that only a cluster's owner has
		k.want(KindChart, reference, t.String()).Remark = "what its clusters need is not known: " + err.Error()
		return nil
	}
	for _, o := range m {
		mentions(o.Content, k.site.Registry, nil, func(scheme, name string, around map[string]any) {
			k.child(scheme, name, text(around, "version"), t.String())
		})
	}
	return nil
}

// child notes one thing that a cluster asks for. version is that of a chart.
func (k *closure) child(scheme, name, version, who string) {
	if scheme != "" {
		if scheme == "oci://" && version != "" {
			k.wantOptional(KindChart, name+":"+ref.ChartTag(version), who)
		}
		return
	}
	r, err := ref.ParseImage(name)
	if err != nil {
		return
	}
	n := k.wantOptional(KindImage, name, who)
	n.anyTag = r.Suffix() == ""
	if _, inside := k.site.inside(r.Name()); !inside {
		n.Remark = "the template forgot a slash after the registry's name"
	}
}
