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

// openClusters opens the charts of the cluster templates.
func (k *closure) openClusters(ctx context.Context, charts string, all map[string]template) error {
	for _, name := range sortedKeys(all) {
		t := all[name]
		if t.kind != "ClusterTemplate" {
			continue
		}
		reference := chartReference(charts, t.chart, t.version)
		c, err := k.open(ctx, reference)
		if err := k.ignore(err, KindChart, reference, t.String()); err != nil {
			return err
		}
		k.clusterCharts = append(k.clusterCharts, clusterChart{t, reference, c})
	}
	return nil
}

// cluster adds the add-on charts and images that clusters of a template request. Its
// chart has them in nested texts (files of a control plane, values of add-ons), and
// most images without their tags, which are in the add-on charts, so images are
// looked up by repository. All of it is required only once such a cluster is created.
func (k *closure) cluster(t clusterChart) {
	global := globals(k.values)
	global["k0sURL"] = text(k.values, "controller", "globalK0sURL")
	m, err := k.renderCluster(t.chart, global)
	if err != nil { // it requires values that only a cluster's owner has
		k.add(KindChart, t.reference, t.String()).Remark = "cannot determine what its clusters require: " + err.Error()
		return
	}
	k.hosted(m, t.String())
	for _, o := range m {
		mentions(o.Content, k.site.Registry, nil, func(scheme, name string, around map[string]any) {
			k.child(scheme, name, text(around, "version"), t.String())
		})
	}
}

// child adds a chart or an image that a cluster requests. version is that of a chart.
func (k *closure) child(scheme, name, version, by string) {
	if scheme != "" {
		if scheme == "oci://" && version != "" {
			k.addOptional(KindChart, name+":"+ref.ChartTag(version), by)
		}
		return
	}
	r, err := ref.ParseImage(name)
	if err != nil {
		return
	}
	n := k.addOptional(KindImage, name, by)
	n.anyTag = r.Suffix() == ""
	if _, inside := k.site.inside(r.Name()); !inside {
		n.Remark = "the template lacks a slash after the registry's name"
	}
}

// required matches the error of a cluster's chart about a value that only its owner
// has.
var required = regexp.MustCompile(`\.Values\.(\w+(?:\.\w+)*) is required`)

// renderCluster renders a cluster's chart as the platform's controller does. Values
// that the chart requires by name are set to some text, and an empty list of machines
// to one machine.
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

// hosted adds the image of control planes that run in pods.
func (k *closure) hosted(objects Manifests, by string) {
	for _, o := range objects {
		image, version := text(o.Content, "spec", "image"), text(o.Content, "spec", "version")
		if r, err := ref.ParseImage(image); err == nil && o.Kind() == "K0smotronControlPlane" && r.Suffix() == "" && version != "" {
			k.addOptional(KindImage, image+":"+strings.ReplaceAll(version, "+", "-"), by)
		}
	}
}
