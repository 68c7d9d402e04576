package chart

import (
	"strings"

	"sigs.k8s.io/yaml"

	"k0rdent-airgap/lib/ref"
)

// An Image is a reference in a manifest.
type Image struct {
	Reference string // as written there
	Object    Object
	Container string // the container that runs it, "" for none or if it is an argument
}

// Images returns every image that the manifests name: in fields called image or
// imageUrl, in arguments --...image=, and in variables named for an image. A field's
// value is included even if it is not a valid reference.
func (m Manifests) Images() []Image {
	var all []Image
	for _, o := range m {
		add := func(reference, container string) { all = append(all, Image{reference, o, container}) }
		walkStrings(o.Content, nil, nil, func(f field) {
			switch {
			case f.key == "":
				flag, value, cut := strings.Cut(f.value, "=")
				if cut && strings.HasPrefix(flag, "-") && strings.HasSuffix(flag, "image") {
					add(value, "")
				}
			case f.key == "imageUrl", f.key == "image" && (isContainer(f.path) || strings.Contains(f.value, "/")):
				add(f.value, text(f.table, "name"))
			case f.key == "value" && isImageVariable(text(f.table, "name"), f.value):
				add(f.value, "")
			}
		})
	}
	return all
}

// A field is a string in an object.
type field struct {
	path       keyPath        // of the table or list that contains it
	table      map[string]any // the innermost table around it
	key, value string         // the key is "" in a list
}

// walkStrings calls found for every string below v.
func walkStrings(v any, p keyPath, table map[string]any, found func(field)) {
	each := func(element any, key string, at keyPath, table map[string]any) {
		if s, ok := element.(string); ok {
			found(field{p, table, key, s})
		} else {
			walkStrings(element, at, table, found)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			each(v[key], key, p.to(key), v)
		}
	case []any:
		for i, e := range v {
			each(e, "", p.to(item(i)), table)
		}
	}
}

// isContainer reports whether p is the path of a container in a pod.
func isContainer(p keyPath) bool {
	if len(p) < 2 {
		return false
	}
	switch p[len(p)-2] {
	case "containers", "initContainers", "ephemeralContainers":
		return true
	}
	return false
}

// isImageVariable reports whether a variable of a container is for an image, as
// RELATED_IMAGE_AGENT and AGENT_IMAGE are.
func isImageVariable(name, value string) bool {
	if !strings.HasPrefix(name, "RELATED_IMAGE_") && !strings.HasSuffix(name, "_IMAGE") {
		return false
	}
	_, err := ref.ParseImage(value)
	return err == nil
}

// podSpec returns the specification of the pods that an object creates.
func podSpec(object map[string]any) (map[string]any, bool) {
	for _, p := range []string{"spec.template.spec", "spec.jobTemplate.spec.template.spec", "spec"} {
		v, _ := lookup(object, parsePath(p))
		if spec, ok := v.(map[string]any); ok && has(spec, "containers") {
			return spec, true
		}
	}
	return nil, false
}

// mentions calls found for every name below v that begins with the registry's name
// and a slash: in a field, in a patch that is a YAML text, or in a text nested in such
// a text. scheme is what precedes it, such as "oci://". around is the table that
// contains it, where a chart's version is next to its name.
func mentions(v any, registry string, around map[string]any, found func(scheme, name string, around map[string]any)) {
	walkStrings(v, nil, around, func(f field) {
		if !strings.Contains(f.value, registry) {
			return
		}
		if inner, ok := structured(f.value); ok {
			mentions(inner, registry, f.table, found)
			return
		}
		tokens(f.value, registry, func(scheme, name string) { found(scheme, name, f.table) })
	})
}

// structured parses a text of several lines if it is YAML.
func structured(s string) (any, bool) {
	if !strings.Contains(strings.TrimSpace(s), "\n") {
		return nil, false
	}
	var all []any
	for _, doc := range documents(s) {
		var v any
		if err := yaml.Unmarshal([]byte(doc), &v); err != nil {
			return nil, false
		}
		switch v.(type) {
		case map[string]any, []any:
			all = append(all, v)
		case nil:
		default:
			return nil, false
		}
	}
	return all, len(all) > 0
}

// tokens calls found for each registry/NAME in a text, and for each without that
// slash. Characters that a reference cannot contain delimit a name, and a scheme may
// precede it.
func tokens(s, registry string, found func(scheme, name string)) {
	for {
		i := strings.Index(s, registry)
		if i < 0 {
			return
		}
		before, rest := s[:i], s[i:]
		end := len(registry) + len(rest[len(registry):]) - len(strings.TrimLeftFunc(rest[len(registry):], isNameRune))
		scheme := ""
		if strings.HasSuffix(before, "://") {
			at := strings.LastIndexFunc(before[:len(before)-3], func(r rune) bool { return !isNameRune(r) }) + 1
			scheme = before[at:]
		}
		begins := scheme != "" || i == 0 || !isNameRune(rune(before[i-1]))
		name := strings.TrimRight(rest[:end], ".:/-")
		if next := strings.TrimPrefix(name, registry); begins && next != "" && (next[0] == '/' || isLetter(next[0])) {
			found(scheme, name)
		}
		s = rest[end:]
	}
}

func isLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/:@", r)
}
