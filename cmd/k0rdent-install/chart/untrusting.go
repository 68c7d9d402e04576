package chart

import "context"

// CountUntrusting returns the number of cluster templates whose machines of the RHEL
// family do not trust the registry's own authority when they download k0s, and why:
// up to kcm 1.10, templates install it with update-ca-certificates, which that family
// does not have. Templates that cannot be read are skipped. The values are as for
// Closure.
func (c *Chart) CountUntrusting(ctx context.Context, values map[string]any, site Site, inv Inventory) (count int, why string, err error) {
	merged, _, err := c.whole(values)
	if err != nil {
		return 0, "", err
	}
	r := &rehearsal{closure: &closure{site: site, inv: inv, values: merged, known: map[string]*Need{}}}
	charts, objects, err := r.templateObjects(ctx, c.Version())
	if err != nil {
		return 0, "", err
	}
	if err := r.openClusters(ctx, charts, templatesOf(objects)); err != nil {
		return 0, "", err
	}
	for _, t := range r.clusterCharts {
		if t.chart == nil {
			continue
		}
		if objects, err := r.renderCluster(t.chart, r.clusterGlobals(OwnCA)); err == nil {
			if reason := r.whyUntrusted(objects); reason != "" {
				count, why = count+1, reason
			}
		}
	}
	return count, why, nil
}

// whyUntrusted returns why a machine of the RHEL family does not trust the registry's
// certificate when it downloads k0s from there, or "".
func (r *rehearsal) whyUntrusted(objects Manifests) string {
	all, _ := machines(objects)
	for _, m := range all {
		c := Cell{Family: RHEL, Access: OwnCA}
		booted := c.bootstrap(m)
		if !m.preloaded && r.ownHTTPS(m.downloadURL) && !booted.uncertain && !booted.trusts(true) {
			if len(c.Problems) > 0 {
				return c.Problems[0].Text
			}
			return "nothing installs the authority on them"
		}
	}
	return ""
}
