package ref

import (
	"fmt"
	"path"
	"strings"
)

// Said is what an archive says of itself.
type Said struct {
	// Annotation is org.opencontainers.image.ref.name: a tag, or with some
	// tools a whole reference.
	Annotation string
	// Chart and Version are the name and version in a Helm chart's config,
	// empty for anything else.
	Chart, Version string
}

// Resolve returns the reference of an entry by the first of these that holds:
//
//  1. the annotation is a tag with which the name ends, after a separator;
//  2. for a chart: the name ends with its version ("+" written as "_", as Helm
//     does in tags), or has no separator and is the chart's name;
//  3. there is exactly one separator;
//  4. the last separator, with a warning.
//
// warning is "" unless the operator should look at the choice. The error is
// an ErrInvalid: only an override can help.
func Resolve(entry string, said Said) (r Reference, warning string, err error) {
	var warnings []string
	r, ok := byAnnotation(entry, said.Annotation)
	if !ok {
		r, ok = byChart(entry, said)
	}
	if !ok {
		var certain bool
		if r, certain, err = Predict(entry); err != nil {
			return Reference{}, "", err
		}
		if !certain {
			warnings = append(warnings, "the name has several underscores, took the last as the one before the tag")
		}
	}
	if err := r.Check(); err != nil {
		return Reference{}, "", err
	}
	if tag := chartTag(said.Version); tag != "" && (tag != r.Tag || said.Chart != path.Base(r.Repository)) {
		warnings = append(warnings, fmt.Sprintf("the chart calls itself %s %s", said.Chart, said.Version))
	}
	if !strings.HasSuffix(entry, ".tar") {
		warnings = append(warnings, "the name does not end in .tar")
	}
	return r, strings.Join(warnings, "; "), nil
}

// byAnnotation finds the split whose tag the annotation has.
func byAnnotation(entry, annotation string) (Reference, bool) {
	tag, _, _ := strings.Cut(annotation, "@") // a digest adds nothing here
	if i := strings.LastIndexAny(tag, ":/"); i >= 0 {
		if tag[i] == '/' {
			return Reference{}, false // a name without a tag
		}
		tag = tag[i+1:]
	}
	for _, r := range splits(entry) {
		if r.Tag == tag {
			return r, true
		}
	}
	return Reference{}, false
}

// byChart finds the split that a chart's own name and version tell.
func byChart(entry string, said Said) (Reference, bool) {
	tag := chartTag(said.Version)
	if tag == "" || said.Chart == "" {
		return Reference{}, false
	}
	all := splits(entry)
	for _, r := range all {
		if r.Tag == tag {
			return r, true
		}
	}
	if name := strings.TrimSuffix(entry, ".tar"); len(all) == 0 && path.Base(name) == said.Chart {
		return Reference{name, tag}, true
	}
	return Reference{}, false
}

// chartTag gives the tag that Helm pushes a chart's version under: "+" is no
// character of a tag (helm.sh, "Use OCI-based registries").
func chartTag(version string) string { return strings.ReplaceAll(version, "+", "_") }
