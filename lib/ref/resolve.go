package ref

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Metadata is what an archive says about itself.
type Metadata struct {
	// Annotation is org.opencontainers.image.ref.name: a tag or, from some
	// tools, a whole reference.
	Annotation string
	// Chart and Version are the name and version in a Helm chart's config; empty
	// for anything else.
	Chart, Version string
}

// Resolve returns the reference of an entry by the first of these that holds:
//
//  1. the annotation is a tag with which the name ends, after a separator;
//  2. for a chart: the name ends with its version, or has no separator and is
//     the chart's name;
//  3. there is exactly one separator;
//  4. the last separator, with a warning.
//
// A tag cannot contain "+": if the annotation or a chart's config explains one in
// the name, it becomes "_", as Helm writes it.
//
// warning is "" unless the operator should check the choice. The error is an
// ErrInvalid: only an override can help.
func Resolve(entry string, meta Metadata) (r Reference, warning string, err error) {
	var warnings []string
	_, tag := ParseAnnotation(meta.Annotation)
	r, ok := bySplit(entry, tag)
	if !ok {
		r, ok = byChart(entry, meta)
	}
	if !ok {
		var certain bool
		if r, certain, err = Predict(entry, meta.Chart != ""); err != nil {
			return Reference{}, "", err
		}
		if !certain {
			warnings = append(warnings, "the name has several underscores; the tag follows the last one")
		}
	}
	if err := r.Check(); err != nil {
		return Reference{}, "", err
	}
	if tag := ChartTag(meta.Version); tag != "" && (tag != r.Tag || meta.Chart != path.Base(r.Repository)) {
		warnings = append(warnings, fmt.Sprintf("the chart calls itself %s %s", meta.Chart, meta.Version))
	}
	if _, found := trim(entry); !found {
		warnings = append(warnings, "the name does not end in .tar")
	}
	return r, strings.Join(warnings, "; "), nil
}

// Fits reports whether an annotation is a name of the entry: a tag with which
// the entry's name ends, or a reference with such a tag.
func Fits(entry, annotation string) bool {
	_, tag := ParseAnnotation(annotation)
	_, ok := bySplit(entry, tag)
	return ok
}

// ParseAnnotation splits an archive's name for an image: a tag or, from some tools,
// a whole reference. Either part may be empty.
func ParseAnnotation(annotation string) (repository, tag string) {
	name, tag, digest := cut(annotation)
	if tag == "" && digest == "" && !strings.Contains(name, "/") {
		return "", name
	}
	return name, strings.TrimPrefix(tag, ":")
}

// fallback matches tags that consist of a digest: referrers in a registry that does
// not list them (distribution-spec, "Referrers tag schema"), and cosign's signatures,
// attestations and bills of materials.
var fallback = regexp.MustCompile(`^sha(256-[0-9a-f]{64}|512-[0-9a-f]{128})(\.[a-z]+)?$`)

// IsFallback reports whether a tag only names the digest that its content refers to.
func IsFallback(tag string) bool { return fallback.MatchString(tag) }

// bySplit finds the split of an entry's name that ends with a tag.
func bySplit(entry, tag string) (Reference, bool) {
	if tag == "" {
		return Reference{}, false
	}
	for _, r := range splits(entry) {
		if r.Tag == tag || ChartTag(r.Tag) == tag {
			return Reference{Repository: r.Repository, Tag: tag}, true
		}
	}
	return Reference{}, false
}

// byChart finds the split that matches a chart's own name and version.
func byChart(entry string, meta Metadata) (Reference, bool) {
	tag := ChartTag(meta.Version)
	if tag == "" || meta.Chart == "" {
		return Reference{}, false
	}
	if r, ok := bySplit(entry, tag); ok {
		return r, true
	}
	if name, _ := trim(decode(entry, false)); len(splits(entry)) == 0 && path.Base(name) == meta.Chart {
		return Reference{Repository: name, Tag: tag}, true
	}
	return Reference{}, false
}

// ChartTag returns the tag under which Helm pushes a chart's version: a tag cannot
// contain "+" (helm.sh, "Use OCI-based registries").
func ChartTag(version string) string { return strings.ReplaceAll(version, "+", "_") }
