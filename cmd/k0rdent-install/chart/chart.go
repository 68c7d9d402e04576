package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	helm "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
)

// Limits of a chart, in bytes, and how deep packed subcharts may be nested. A
// release stores its chart in a Secret of at most 1 MiB, so real charts are far
// smaller. Helm's loader has the same limit for an unpacked archive, and Helm 3's,
// which the controllers of older releases use, one of 5 MiB for a file.
const (
	maxArchive  = 32 << 20
	maxUnpacked = 100 << 20
	maxFile     = 5 << 20
	maxNesting  = 4
)

// ErrTooBig reports that a chart or an artifact is larger than any real one.
var ErrTooBig = errors.New("larger than any real chart or image")

// The name and namespace of the platform's Helm release. Before kcm 1.9 the
// controller requires the name kcm: under another one it would not find the values,
// and would install its second pass with defaults.
const (
	ReleaseName = "kcm"
	Namespace   = "kcm-system"
)

// A Site describes where a site's images are and how the platform reaches them.
// Secrets are names in Namespace, "" for none.
type Site struct {
	Registry    string        // HOST[:PORT][/PREFIX]; "" for the public registries
	K0sURL      string        // below which k0s-VERSION-ARCH lies, for child clusters
	K0sLogin    bool          // there is no K0sURL because the registry requires a login for k0s
	CASecret    string        // contains ca.crt, the registry's authority
	CredsSecret string        // contains username and password
	PullSecret  string        // of type kubernetes.io/dockerconfigjson
	PlainHTTP   bool          // the registry does not use TLS
	KubeVersion string        // of the cluster, such as v1.32.8; templates read it
	HelmTimeout time.Duration // for each part that the platform installs; 0 for the chart's own
}

// A Chart is a packaged chart with its subcharts, in memory.
type Chart struct {
	files []*archive.BufferedFile
	meta  *helm.Metadata
}

// Load reads a packaged chart (a tar.gz, as helm package writes it). It stops with
// ErrTooBig at a chart that is larger than any real one, packed subcharts included.
func Load(r io.Reader) (*Chart, error) {
	left := int64(maxUnpacked)
	files, err := unpack(r, &left, 0)
	if err != nil {
		return nil, fmt.Errorf("chart: %w", err)
	}
	c := &Chart{files: files}
	h, err := c.Helm()
	if err != nil {
		return nil, err
	}
	c.meta = h.Metadata
	return c, nil
}

// unpack returns the files of a chart, with packed subcharts replaced by their files.
func unpack(r io.Reader, left *int64, depth int) ([]*archive.BufferedFile, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("subcharts packed more than %d deep: %w", maxNesting, ErrTooBig)
	}
	packed := &io.LimitedReader{R: r, N: maxArchive + 1}
	files, err := archive.LoadArchiveFiles(packed)
	if packed.N <= 0 {
		return nil, ErrTooBig
	}
	if err != nil {
		return nil, err
	}
	var all []*archive.BufferedFile
	for _, f := range files {
		if *left -= int64(len(f.Data)); *left < 0 || len(f.Data) > maxFile {
			return nil, ErrTooBig
		}
		if path.Ext(f.Name) != ".tgz" || path.Base(path.Dir(f.Name)) != "charts" {
			all = append(all, f)
			continue
		}
		inner, err := unpack(bytes.NewReader(f.Data), left, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		for _, g := range inner {
			g.Name = strings.TrimSuffix(f.Name, ".tgz") + "/" + g.Name
			all = append(all, g)
		}
	}
	return all, nil
}

// Name returns the chart's name, such as k0rdent-enterprise.
func (c *Chart) Name() string { return c.meta.Name }

// Version returns the chart's version as Chart.yaml has it.
func (c *Chart) Version() string { return c.meta.Version }

// Helm returns a new copy of the chart in Helm's form: Helm's functions change their
// arguments.
func (c *Chart) Helm() (*helm.Chart, error) {
	h, err := loader.LoadFiles(c.files)
	if err != nil {
		return nil, fmt.Errorf("chart: %w", err)
	}
	return h, nil
}

// whole returns the merged values of the chart, parents over children, values over all,
// and the paths at which its subcharts read theirs, by alias: "regional",
// "regional.velero". Every subchart is enabled: one that is disabled now may be enabled in
// the second pass. Keys whose default is null are kept, since charts declare keys that
// way.
func (c *Chart) whole(values map[string]any) (merged map[string]any, subcharts map[string]bool, err error) {
	h, err := c.Helm()
	if err != nil {
		return nil, nil, err
	}
	enableAll(h)
	if err := chartutil.ProcessDependencies(h, values); err != nil {
		return nil, nil, fmt.Errorf("chart %s: %w", c.Name(), err)
	}
	if merged, err = util.MergeValues(h, values); err != nil {
		return nil, nil, fmt.Errorf("chart %s: %w", c.Name(), err)
	}
	subcharts = map[string]bool{}
	addSubcharts(h, "", subcharts)
	return merged, subcharts, nil
}

// enableAll removes the conditions on which subcharts are part of h.
func enableAll(h *helm.Chart) {
	for _, d := range h.Metadata.Dependencies {
		d.Condition, d.Tags = "", nil
	}
	for _, sub := range h.Dependencies() {
		enableAll(sub)
	}
}

// addSubcharts adds the paths of the subcharts of h.
func addSubcharts(h *helm.Chart, below string, found map[string]bool) {
	for _, sub := range h.Dependencies() {
		p := join(below, sub.Name())
		found[p] = true
		addSubcharts(sub, p, found)
	}
}
