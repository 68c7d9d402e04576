package chart

import (
	"strings"

	"k0rdent-airgap/lib/ref"
)

// A leaf is a place in a chart's values that names an image. Charts have many
// ways to write one:
//
//	image: {repository: HOST/PATH, tag: T}         most charts
//	image: {registry: HOST, repository: PATH}      cert-manager up to 1.19 if one wants
//	image: {repository: "", name: NAME}            cert-manager from 1.20 on, with
//	                                               imageRegistry and imageNamespace at the top
//	image: {manager: {repository: ...}}            Cluster API operator
//	{image: HOST/PATH, tag: T}                     flux2, one such table a controller
//	[{image: HOST/PATH:T}]                         velero's plug-ins
//	[--some-image=HOST/PATH:T]                     arguments
type leaf struct {
	path     keyPath // of the value that takes another repository
	name     string  // the repository by default, with its registry
	before   string  // what the value holds before the name, such as "--some-image="
	after    string  // and after it: tag and digest where they are not values of their own
	registry keyPath // of a registry's name that stands beside, nil for none
}

// A secretKey is a place for the names of pull secrets.
type secretKey struct {
	path   keyPath
	inside bool // in the table of an image, where charts want names instead of {name: ...}
}

// A walker collects from values. roots are the paths of charts: settings for
// images do not reach beyond the chart that they are in.
type walker struct {
	roots   map[string]bool
	leaves  []leaf
	secrets []secretKey
}

// scope is what tables above say about the images below.
type scope struct {
	image               bool // in the table of an image
	registry, namespace string
}

// walk collects from the merged values of a chart whose subcharts read theirs
// at roots, in the order of their paths.
func walk(values map[string]any, roots map[string]bool) *walker {
	w := &walker{roots: roots}
	w.table(values, nil, scope{})
	return w
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
		switch v := m[key].(type) {
		case map[string]any:
			w.table(v, at, in)
		case []any:
			w.list(v, at, in)
		case string:
			if isImageKey(key) {
				w.literal(v, at)
			}
		}
		if strings.HasSuffix(key, "ullSecrets") {
			w.secret(at, in)
		}
	}
}

// image looks at a table that may be one of an image.
func (w *walker) image(m map[string]any, p keyPath, in scope) {
	repository, registry := text(m, "repository"), text(m, "registry")
	l := leaf{path: p.to("repository"), name: repository}
	switch {
	case repository != "" && !in.image && !has(m, "tag") && !has(m, "digest"):
		return // some other repository
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

// literal looks at a string that may be a reference, after what stands before.
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

func (w *walker) list(items []any, p keyPath, in scope) {
	for i, v := range items {
		at := p.to(item(i))
		switch v := v.(type) {
		case map[string]any:
			w.table(v, at, in)
		case []any:
			w.list(v, at, in)
		case string:
			if strings.HasPrefix(v, "--") {
				w.literal(v, at)
			}
		}
	}
}

// secret notes a list of pull secrets at the places where charts have one: at
// the top of a chart, in its globals, and in the table of an image.
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
