package main

import (
	"path"
	"path/filepath"
	"strings"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// The types of the vendor's further bundles.
const (
	typeBareMetal = "bare-metal"
	typeCeph      = "ceph"
)

// furtherCharts are the charts whose versions are those of the further bundles.
var furtherCharts = map[string]string{"cluster-api-provider-metal3": typeBareMetal, "ceph-controller": typeCeph}

// ofFurther returns the type of the further bundle whose chart an entry is, or "".
func ofFurther(entry string, name ref.Reference) string {
	if ref.Plain("", entry) == entry || path.Base(path.Dir(entry)) != "charts" {
		return ""
	}
	return furtherCharts[path.Base(name.Repository)]
}

// further is what the entries' names say about a further bundle.
type further struct {
	kind   string
	charts map[string]int // how many charts have a version
}

// note remembers what the name of an entry says.
func (f *further) note(entry string) {
	if ref.Plain("", entry) == entry {
		return
	}
	switch name := strings.ToLower(path.Base(entry)); {
	case strings.HasPrefix(name, "k0rdent-bm&") || strings.Contains(name, "&k0rdent-bm&") || strings.Contains(name, "metal3") || ref.IsFile(entry):
		f.kind = typeBareMetal
	case f.kind == "" && strings.Contains(name, typeCeph):
		f.kind = typeCeph
	}
	if name, _, err := ref.Predict(entry, true); err == nil && path.Base(path.Dir(entry)) == "charts" {
		if f.charts == nil {
			f.charts = make(map[string]int)
		}
		f.charts[name.Tag]++
	}
}

// version returns the version of a further bundle whose chart was not found: that
// in its file name, or else that of most of its charts.
func (f *further) version(file string) record.Version {
	v := record.Version{Type: f.kind}
	if f.kind == "" {
		return v
	}
	isCeph := strings.HasPrefix(filepath.Base(file), "airgap-bundle-"+typeCeph+"-")
	if v.Version = fileVersion(file); v.Version != "" && isCeph == (f.kind == typeCeph) {
		return v
	}
	v.Version = ""
	most := 0
	for version, count := range f.charts {
		switch {
		case count > most:
			v.Version, most = strings.ReplaceAll(version, "_", "+"), count
		case count == most:
			v.Version = "" // no version has most of them
		}
	}
	return v
}

// fileVersion returns the version in a bundle's file name, as the vendor names
// it: airgap-bundle-1.2.3.tar.gz, airgap-bundle-ceph-1.0.11.tar.gz.
func fileVersion(path string) string {
	version, ok := strings.CutPrefix(bundle.BaseName(path), "airgap-bundle-")
	if !ok {
		return ""
	}
	return strings.TrimPrefix(version, typeCeph+"-")
}
