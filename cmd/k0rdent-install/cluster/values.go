package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Change is a change of a value.
type Change struct {
	Path string // such as "regional.velero.image.repository"
	Have string // the current value, as JSON; empty if none
	Want string // the new value, as JSON
}

// String returns the change as one line.
func (c Change) String() string {
	if c.Have == "" {
		return fmt.Sprintf("%s: %s", c.Path, c.Want)
	}
	return fmt.Sprintf("%s: %s (was %s)", c.Path, c.Want, c.Have)
}

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
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	integers(out)
	return out, nil
}

// integers converts whole numbers to int64, as the API's machinery does.
func integers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = integers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case float64:
		if i := int64(v); float64(i) == v && strconv.FormatInt(i, 10) == strconv.FormatFloat(v, 'f', -1, 64) {
			return i
		}
	}
	return v
}

// changes returns what chart.Merge(have, want) would change, by path. A map that
// replaces another type is one change.
func changes(have, want map[string]any) []Change {
	var list []Change
	compare(&list, "", have, want)
	return list
}

func compare(list *[]Change, prefix string, have, want map[string]any) {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		h, found := have[k]
		below, haveMap := h.(map[string]any)
		if m, ok := want[k].(map[string]any); ok && (haveMap || !found && len(m) > 0) {
			compare(list, prefix+k+".", below, m)
			continue
		}
		if found && reflect.DeepEqual(h, want[k]) {
			continue
		}
		c := Change{Path: prefix + k, Want: text(want[k])}
		if found {
			c.Have = text(h)
		}
		*list = append(*list, c)
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
