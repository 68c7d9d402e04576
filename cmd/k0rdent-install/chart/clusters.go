package chart

import (
	"context"
	"regexp"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"

	"k0rdent-airgap/lib/ref"
)

// A clusterChart is the chart of a cluster template, nil if it cannot be read.
type clusterChart struct {
	template
	reference string
	chart     *Chart
}

// clusters looks at a cluster template: the add-on charts and the images that
// clusters made from it will ask for. Its chart holds them as texts in texts
// (files of a control plane, values of add-ons) and most images without their
// tags, which are in the add-on charts; so images are looked for by their
// repositories. None of it is needed before somebody makes such a cluster.
func (k *closure) clusters(ctx context.Context, reference string, t template) error {
	c, err := k.open(ctx, reference)
	k.clusterCharts = append(k.clusterCharts, clusterChart{t, reference, c})
	if err != nil {
		return k.ignore(err, KindChart, reference, t.String())
	}
	global := globals(k.values)
	global["k0sURL"] = text(k.values, "controller", "globalK0sURL")
	m, err := k.renderCluster(c, global)
	if err != nil { // it wants values that only a cluster's owner has
		k.want(KindChart, reference, t.String()).Remark = "what its clusters need is not known: " + err.Error()
		return nil
	}
	k.hosted(m, t.String())
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

// required is what a cluster's chart says of a value that only its owner has.
var required = regexp.MustCompile(`\.Values\.(\w+(?:\.\w+)*) is required`)

// renderCluster renders a cluster's chart as the platform's controller does it.
// Values that the chart asks for by name get some text, and a list of machines
// gets one.
func (k *closure) renderCluster(c *Chart, global map[string]any) (Manifests, error) {
	h, err := c.Helm()
	if err != nil {
		return nil, err
	}
	values := map[string]any{"global": global}
	if l, ok := h.Values["machines"].([]any); ok && len(l) == 0 {
		values["machines"] = []any{map[string]any{"address": "192.0.2.1", "user": "root", "port": 22.0, "useSudo": true}}
	}
	options := common.ReleaseOptions{Name: "cluster", Namespace: Namespace, Revision: 1, IsInstall: true}
	for last := ""; ; {
		m, err := c.render(values, k.site.KubeVersion, options)
		if err == nil {
			return m, nil
		}
		asked := required.FindStringSubmatch(err.Error())
		if asked == nil || asked[1] == last || put(values, parsePath(asked[1]), "rehearsal", nil) != nil {
			return nil, err
		}
		last = asked[1]
	}
}

// hosted notes the image that the control planes in a template's pods run.
func (k *closure) hosted(objects Manifests, who string) {
	for _, o := range objects {
		image, version := text(o.Content, "spec", "image"), text(o.Content, "spec", "version")
		if r, err := ref.ParseImage(image); err == nil && o.Kind() == "K0smotronControlPlane" && r.Suffix() == "" && version != "" {
			k.wantOptional(KindImage, image+":"+strings.ReplaceAll(version, "+", "-"), who)
		}
	}
}
