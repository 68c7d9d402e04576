package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Change is a value that is to be another.
type Change struct {
	Path string // such as "regional.velero.image.repository"
	Have string // as JSON; empty if there is none
	Want string // as JSON
}

// String is one line.
func (c Change) String() string {
	if c.Have == "" {
		return fmt.Sprintf("%s: %s", c.Path, c.Want)
	}
	return fmt.Sprintf("%s: %s, was %s", c.Path, c.Want, c.Have)
}

// plain brings values into the form that they have after a way through the API
// server: maps, slices, strings, booleans, int64 and float64 only. Values from
// YAML may hold an int where others hold a float.
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

// integers makes whole numbers int64 again, which is what the API's machinery
// accepts beside float64 and compares equal to what it sends.
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

// changes lists what chart.Merge(have, want) would change, by path. A map in the
// place of something else is one change, whatever it holds.
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

// text is a value as JSON.
func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}
