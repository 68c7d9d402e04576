package chart

import (
	"strings"

	"k0rdent-airgap/lib/ref"
)

// A leaf is a place in a chart's values that names an image. Charts write images in
// many ways:
//
//	image: {repository: HOST/PATH, tag: T}         most charts
//	image: {registry: HOST, repository: PATH}      cert-manager up to 1.19, optionally
//	image: {repository: "", name: NAME}            cert-manager since 1.20, with
//	                                               imageRegistry and imageNamespace at the top level
//	image: {manager: {repository: ...}}            Cluster API operator
//	{image: HOST/PATH, tag: T}                     flux2, one such table a controller
//	[{image: HOST/PATH:T}]                         velero's plug-ins
//	[--some-image=HOST/PATH:T]                     arguments
type leaf struct {
	path     keyPath // of the value to replace
	name     string  // the default repository, with its registry
	before   string  // text before the name in the value, such as "--some-image="
	after    string  // text after it: a tag and digest that are not separate values
	registry keyPath // of a separate value with the registry, nil for none
}

// A secretKey is a value for the names of pull secrets.
type secretKey struct {
	path   keyPath
	inside bool // in the table of an image, where charts expect names instead of {name: ...}
}

// A walker collects leaves and secrets from values. roots are the paths of charts: a
// setting for images affects only its own chart.
type walker struct {
	roots   map[string]bool
	leaves  []leaf
	secrets []secretKey
}

// A scope is what the tables above define for the images below.
type scope struct {
	image               bool // in the table of an image
	registry, namespace string
}

// walk collects the leaves and secrets in the merged values of a chart whose
// subcharts read theirs at roots, in the order of their paths.
func walk(values map[string]any, roots map[string]bool) *walker {
	w := &walker{roots: roots}
	w.value(values, nil, scope{})
	return w
}

func (w *walker) value(v any, p keyPath, in scope) {
	switch v := v.(type) {
	case map[string]any:
		w.table(v, p, in)
	case []any:
		for i, e := range v {
			w.value(e, p.to(item(i)), in)
		}
	case string:
		_, inList := index(p[len(p)-1])
		if inList && strings.HasPrefix(v, "--") || isImageKey(p[len(p)-1]) {
			w.literal(v, p)
		}
	}
}

func (w *walker) table(m map[string]any, p keyPath, in scope) {
	if w.roots[strings.Join(p, ".")] {
		in = scope{}
	}
	if s := text(m, "imageRegistry"); s != "" {
		in.registry, in.namespace = s, text(m, "imageNamespace")
	}
	if len(p) > 0 && isImageKey(p[len(p)-1]) {
		in.image = true
	}
	w.image(m, p, in)
	for _, key := range sortedKeys(m) {
		at := p.to(key)
		w.value(m[key], at, in)
		if strings.HasSuffix(key, "ullSecrets") {
			w.secret(at, in)
		}
	}
}

// image adds a table if it is that of an image.
func (w *walker) image(m map[string]any, p keyPath, in scope) {
	repository, registry := text(m, "repository"), text(m, "registry")
	l := leaf{path: p.to("repository"), name: repository}
	switch {
	case repository != "" && !in.image && !has(m, "tag") && !has(m, "digest"):
		return // not a repository of images
	case repository != "" && registry != "":
		l.name, l.registry = registry+"/"+repository, p.to("registry")
	case repository == "" && in.image && text(m, "name") != "" && in.registry != "":
		l.name = strings.Trim(in.registry+"/"+in.namespace, "/") + "/" + text(m, "name")
	case repository == "":
		return
	}
	if r, err := ref.ParseImage(l.name); err == nil && r.Suffix() == "" {
		w.leaves = append(w.leaves, l)
	}
}

// literal adds a string if it is a reference, perhaps in a flag.
func (w *walker) literal(s string, p keyPath) {
	before := ""
	if strings.HasPrefix(s, "--") {
		flag, value, _ := strings.Cut(s, "=")
		if !strings.HasSuffix(flag, "image") {
			return
		}
		before, s = flag+"=", value
	}
	if r, err := ref.ParseImage(s); err == nil {
		w.leaves = append(w.leaves, leaf{path: p, name: r.Name(), before: before, after: r.Suffix()})
	}
}

// secret adds a list of pull secrets if it is at the top level of a chart, in its
// globals, or in the table of an image.
func (w *walker) secret(p keyPath, in scope) {
	above := strings.Join(p[:len(p)-1], ".")
	chart, isGlobal := strings.CutSuffix("."+above, ".global")
	switch {
	case in.image:
		w.secrets = append(w.secrets, secretKey{path: p, inside: true})
	case isGlobal && (chart == "" || w.roots[strings.TrimPrefix(chart, ".")]), above == "", w.roots[above]:
		w.secrets = append(w.secrets, secretKey{path: p})
	}
}

func isImageKey(key string) bool { return key == "image" || strings.HasSuffix(key, "Image") }

func has(m map[string]any, key string) bool { _, ok := m[key]; return ok }
