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

// further lists the contents of the further bundles in the same way.
//
//go:embed further.txt
var further string

// A product is one line of the catalogue.
type product struct {
	kind   string // image, multi (image for two platforms), chart, provider, components, signature, sbom, file
	path   string
	tag    string
	weight float64
}

// furtherProducts returns the contents of another bundle.
func furtherProducts(bundle, release string) ([]product, error) {
	_, text, found := strings.Cut(further, "\n["+bundle+"]\n")
	if !found {
		return nil, fmt.Errorf("no such bundle: %q", bundle)
	}
	text, _, _ = strings.Cut(text, "\n[")
	return parseProducts(text, release)
}

func parseProducts(text, release string) (all []product, err error) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		weight, err := strconv.ParseFloat(f[3], 64)
		if err != nil {
			return nil, fmt.Errorf("catalogue: %w", err)
		}
		all = append(all, product{f[0], f[1], strings.ReplaceAll(f[2], "R", release), weight})
	}
	return all, nil
}

// products returns the first n lines of the catalogue.
func products(n int, release string) ([]product, error) {
	if n == 0 {
		n = CoreArchives
	}
	all, err := parseProducts(catalogue, release)
	if err != nil {
		return nil, err
	}
	if n < 0 || n > len(all) {
		return nil, fmt.Errorf("%d archives: the catalogue has %d", n, len(all))
	}
	return all[:n:n], nil
}

// chartVersion turns a tag into a chart's version: Helm writes "+" as "_".
func (p product) chartVersion() string { return strings.ReplaceAll(p.tag, "_", "+") }

func (p product) name() string { return p.path[strings.LastIndexByte(p.path, '/')+1:] }
