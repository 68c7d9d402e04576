package chart

import "context"

// Distrustful returns how many cluster templates have machines of the RHEL family
// that do not trust the registry's own authority when they download k0s, and why.
// Up to kcm 1.10 templates install it with update-ca-certificates, which that
// family does not have. Templates that cannot be read are left to Closure. The
// values are as for Closure.
func (c *Chart) Distrustful(ctx context.Context, values map[string]any, site Site, inv Inventory) (count int, why string, err error) {
	_, merged, err := c.whole(values)
	if err != nil {
		return 0, "", err
	}
	r := &rehearsal{closure: &closure{site: site, inv: inv, values: merged, known: map[string]*Need{}}}
	charts, objects, err := r.templateObjects(ctx, c.Version())
	if err != nil {
		return 0, "", err
	}
	all := templatesOf(objects)
	for _, name := range sortedKeys(all) {
		t := all[name]
		if t.kind != "ClusterTemplate" {
			continue
		}
		reference := chartReference(charts, t.chart, t.version)
		c, err := r.open(ctx, reference)
		if err != nil {
			if err := r.ignore(err, KindChart, reference, name); err != nil {
				return 0, "", err
			}
			continue
		}
		if objects, err := r.renderCluster(c, r.handed(OwnCA)); err == nil {
			if reason := r.distrusts(objects); reason != "" {
				count, why = count+1, reason
			}
		}
	}
	return count, why, nil
}

// distrusts returns why a machine of the RHEL family downloads k0s from the
// registry's host and does not trust its certificate then, or "".
func (r *rehearsal) distrusts(objects Manifests) string {
	all, _ := machines(objects)
	for _, m := range all {
		c := Cell{Family: RHEL, Access: OwnCA}
		made := c.bootstrap(m)
		if !m.preloaded && r.ownHTTPS(m.downloadURL) && !made.uncertain && !made.trusts(true) {
			if len(c.Problems) > 0 {
				return c.Problems[0].Text
			}
			return "nothing makes machines trust it"
		}
	}
	return ""
}
