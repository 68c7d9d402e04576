package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	kjson "k8s.io/apimachinery/pkg/util/json"
)

// plain converts values to the types that the API server returns: maps, slices,
// strings, booleans, int64 and float64. Values from YAML may have other types of
// numbers.
func plain(values map[string]any) (map[string]any, error) {
	if len(values) == 0 {
		return map[string]any{}, nil
	}
	raw, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	var out map[string]any
	if err := kjson.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	return out, nil
}

// changes returns what chart.Merge(have, want) would change, a line for each path with
// the values as JSON. A map that replaces another type is one change.
func changes(have, want map[string]any) []string {
	var list []string
	compare(&list, "", have, want)
	return list
}

func compare(list *[]string, prefix string, have, want map[string]any) {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		h, found := have[k]
		below, haveMap := h.(map[string]any)
		m, isMap := want[k].(map[string]any)
		switch {
		case isMap && (haveMap || !found && len(m) > 0):
			compare(list, prefix+k+".", below, m)
		case !found:
			*list = append(*list, fmt.Sprintf("%s%s: %s", prefix, k, text(want[k])))
		case !reflect.DeepEqual(h, want[k]):
			*list = append(*list, fmt.Sprintf("%s%s: %s (was %s)", prefix, k, text(want[k]), text(h)))
		}
	}
}

// text returns a value as JSON.
func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}
