package chart

import "slices"

// try renders what was derived, and so learns what the values alone do not
// show: whether the chart's own templates follow global.registry, and which
// pods are left without the pull secret.
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
				accounts[o.Name()] = carries(o.Content, d.site.PullSecret)
			}
		}
		for _, o := range m {
			spec, ok := podSpec(o.Content)
			if ok && !carries(spec, d.site.PullSecret) && !accounts[text(spec, "serviceAccountName")] {
				d.bare(o)
			}
		}
	}
	return nil
}

// bare warns of an object whose pods have no pull secret, once.
func (d *derivation) bare(o Object) {
	n := Note{Text: o.String() + " gets no pull secret by any value", Warning: true}
	if !slices.Contains(d.notes, n) {
		d.notes = append(d.notes, n)
	}
}

// carries reports whether a pod, or the account that its pods run under, has the
// pull secret.
func carries(spec map[string]any, secret string) bool {
	list, _ := spec["imagePullSecrets"].([]any)
	return slices.ContainsFunc(list, func(v any) bool {
		m, _ := v.(map[string]any)
		return text(m, "name") == secret
	})
}

// globalRegistry sets global.registry where the chart follows it, as kcm's own
// charts do from 1.6 on. The controller adds it in the second pass, so that
// with it from the start both passes name the same images. No key in the
// values tells, so the chart is rendered with and without it.
func (d *derivation) globalRegistry(c *Chart) error {
	tried := Merge(d.values, nil)
	if d.knows("regional.telemetry.mode") { // what is off follows nothing
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

// references lists the images of manifests, sorted, each once.
func references(m Manifests) []string {
	var all []string
	for _, i := range m.Images() {
		all = append(all, i.Reference)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
