package chart

import "slices"

// try renders the chart with the derived values, which shows what the values alone do
// not: whether the chart's own templates use global.registry, and which pods have no
// pull secret.
func (d *derivation) try(c *Chart) error {
	if d.site.Registry != "" {
		if err := d.globalRegistry(c); err != nil {
			return err
		}
	}
	if d.site.PullSecret == "" {
		return nil
	}
	for _, pass := range []int{FirstPass, SecondPass} {
		m, err := c.Render(d.values, d.site, pass)
		if err != nil {
			return err
		}
		accounts := map[string]bool{}
		for _, o := range m {
			if o.Kind() == "ServiceAccount" {
				accounts[o.Name()] = hasPullSecret(o.Content, d.site.PullSecret)
			}
		}
		for _, o := range m {
			spec, ok := podSpec(o.Content)
			if ok && !hasPullSecret(spec, d.site.PullSecret) && !accounts[text(spec, "serviceAccountName")] {
				addNew(&d.notes, Note{Text: o.String() + " has no pull secret: no value of the chart sets one", Warning: true})
			}
		}
	}
	return nil
}

// hasPullSecret reports whether a pod, or the service account of its pods, has the
// pull secret.
func hasPullSecret(spec map[string]any, secret string) bool {
	return slices.ContainsFunc(items(spec, parsePath("imagePullSecrets")), func(v any) bool {
		m, _ := v.(map[string]any)
		return text(m, "name") == secret
	})
}

// globalRegistry sets global.registry if the chart uses it, as kcm's own charts do
// since 1.6. The controller adds it in the second pass; set from the start, both
// passes name the same images. No key in the values shows whether the chart uses it, so
// the chart is rendered with and without it.
func (d *derivation) globalRegistry(c *Chart) error {
	tried := Merge(d.values, nil)
	if d.hasValue("regional.telemetry.mode") { // telemetry must be on for its image to be rendered
		_ = put(tried, parsePath("regional.telemetry.mode"), "local", nil)
	}
	without, err := c.Render(tried, d.site, FirstPass)
	if err != nil {
		return err
	}
	with, err := c.Render(Merge(tried, map[string]any{"global": map[string]any{"registry": d.site.Registry + "/probe"}}), d.site, FirstPass)
	if err != nil {
		return err
	}
	if !slices.Equal(references(without), references(with)) {
		d.set("global.registry", d.site.Registry)
	}
	return nil
}

// references returns the images of manifests, sorted, without duplicates.
func references(m Manifests) []string {
	var all []string
	for _, i := range m.Images() {
		all = append(all, i.Reference)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
