package chart

import "slices"

// secondPass returns the values with which the platform's controller upgrades its own
// release once cert-manager runs (k0rdent/kcm,
// internal/controller/components/values.go: getComponentValues): they disable what is
// only for the first install, enable the admission webhook and the Cluster API
// operator, and set the global registry and pull secret for every chart. The
// operator's values take precedence.
func (c *Chart) secondPass(values map[string]any) (map[string]any, error) {
	merged, subcharts, err := c.whole(values)
	if err != nil {
		return nil, err
	}
	added := map[string]any{
		"controller": map[string]any{
			"createManagement":       false,
			"createAccessManagement": false,
			"createRelease":          false,
		},
		"admissionWebhook": map[string]any{"enabled": true},
	}
	if global := globals(merged); len(global) > 0 {
		added["global"] = global
	}
	for _, name := range sortedKeys(subcharts) {
		p := parsePath(name)
		// Since kcm 1.4 these are below an alias, but the controller still reads the
		// operator's values from their old place.
		if moved := p[len(p)-1]; len(p) > 1 && slices.Contains([]string{"cert-manager", "cluster-api-operator", "velero"}, moved) {
			if old, ok := values[moved].(map[string]any); ok {
				_ = put(added, p, clone(old), nil) // fails only in lists
			}
		}
		if last := p[len(p)-1]; last == "cluster-api-operator" || last == "velero" {
			if off, ok := lookup(added, p.to("enabled")); ok && off == false {
				continue
			}
			_ = put(added, p.to("enabled"), true, nil)
		}
	}
	return Merge(added, values), nil
}

// globals returns the globals that the controller sets for every chart.
func globals(merged map[string]any) map[string]any {
	global := map[string]any{}
	if registry := text(merged, "controller", "globalRegistry"); registry != "" {
		global["registry"] = registry
	}
	if secret := text(merged, "controller", "imagePullSecret"); secret != "" {
		global["imagePullSecrets"] = named(secret)
	}
	return global
}

// named returns a list of secrets in the form of a pod.
func named(secret string) []any { return []any{map[string]any{"name": secret}} }
