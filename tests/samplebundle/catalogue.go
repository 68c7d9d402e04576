package samplebundle

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// CoreArchives is the number of OCI archives at the head of the catalogue that
// are complete: with them the platform's chart, each provider that
// kcm-templates lists, and k0s in its default configuration find all of their
// images and charts.
const CoreArchives = 63

// catalogue lists the OCI archives, one a line: kind, path, tag and the size of
// the archive in a bundle of 3 GiB, in MB. "R" in a tag stands for the release.
//
//go:embed catalogue.txt
var catalogue string

// A product is one line of the catalogue.
type product struct {
	kind   string // image, multi (image for two platforms), chart, provider, components, signature, sbom
	path   string
	tag    string
	weight float64
}

// products gives the first n lines of the catalogue.
func products(n int, release string) ([]product, error) {
	if n == 0 {
		n = CoreArchives
	}
	var all []product
	for line := range strings.Lines(catalogue) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if len(all) == n {
			return all, nil
		}
		weight, err := strconv.ParseFloat(f[3], 64)
		if err != nil {
			return nil, fmt.Errorf("catalogue: %w", err)
		}
		all = append(all, product{f[0], f[1], strings.ReplaceAll(f[2], "R", release), weight})
	}
	if n > len(all) || n < 0 {
		return nil, fmt.Errorf("%d archives: the catalogue has %d", n, len(all))
	}
	return all, nil
}

// chartVersion turns a tag into a chart's version: Helm writes "+" as "_".
func (p product) chartVersion() string { return strings.ReplaceAll(p.tag, "_", "+") }

func (p product) name() string { return p.path[strings.LastIndexByte(p.path, '/')+1:] }
