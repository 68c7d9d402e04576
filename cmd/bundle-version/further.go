package main

import (
	"path"
	"path/filepath"
	"strings"

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

// note remembers that an entry has a name of a further bundle.
func (f *finder) note(entry string) {
	switch {
	case ref.Plain("", entry) == entry:
	case strings.HasPrefix(path.Base(entry), "k0rdent-bm&"):
		f.further = typeBareMetal
	case f.further == "":
		f.further = typeCeph
	}
}

// byName returns the version in the file name of a further bundle whose chart was
// not found.
func (f *finder) byName(bundle string) record.Version {
	version := fileVersion(bundle)
	isCeph := strings.HasPrefix(filepath.Base(bundle), "airgap-bundle-"+typeCeph+"-")
	if version == "" || f.further == "" || isCeph != (f.further == typeCeph) {
		return record.Version{}
	}
	return record.Version{Version: version, Type: f.further}
}

// fileVersion returns the version in a bundle's file name, as the vendor names
// it: airgap-bundle-1.2.3.tar.gz, airgap-bundle-ceph-1.0.11.tar.gz.
func fileVersion(path string) string {
	version, ok := strings.CutPrefix(filepath.Base(path), "airgap-bundle-")
	if !ok {
		return ""
	}
	version = strings.TrimPrefix(version, typeCeph+"-")
	for _, ext := range []string{".gz", ".zst", ".tgz", ".tar"} {
		version = strings.TrimSuffix(version, ext)
	}
	return version
}
