package chart

import "slices"

// secondPass turns the values of an install into those with which the
// platform's controller upgrades its own release once cert-manager runs
// (k0rdent/kcm, internal/controller/components/values.go: getComponentValues):
// what was only for the first install is off, the admission webhook and the
// Cluster API operator are on, and the global registry and pull secret reach
// every chart. What the operator has set stays.
func (c *Chart) secondPass(values map[string]any) (map[string]any, error) {
	h, merged, err := c.whole(values)
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
	found := map[string]bool{}
	subcharts(h, "", found)
	for _, name := range sortedKeys(found) {
		p := parsePath(name)
		// From kcm 1.4 on these are below an alias, yet the controller still
		// reads the operator's values from where they were before.
		if moved := p[len(p)-1]; len(p) > 1 && slices.Contains([]string{"cert-manager", "cluster-api-operator", "velero"}, moved) {
			if old, ok := values[moved].(map[string]any); ok {
				if err := put(added, p, clone(old), nil); err != nil {
					return nil, err
				}
			}
		}
		if last := p[len(p)-1]; last == "cluster-api-operator" || last == "velero" {
			if off, ok := lookup(added, p.to("enabled")); ok && off == false {
				continue
			}
			if err := put(added, p.to("enabled"), true, nil); err != nil {
				return nil, err
			}
		}
	}
	return Merge(added, values), nil
}

// globals is what the controller hands to every chart that it installs.
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

// named is a list of secrets as a pod has it.
func named(secret string) []any { return []any{map[string]any{"name": secret}} }
