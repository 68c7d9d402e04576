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

// Bounds of a chart, in bytes, and how deep archives of subcharts may lie in
// one another. A release stores its chart in a Secret of at most 1 MiB, so
// real charts are far smaller. Helm's loader has the same bound for what one
// archive unpacks to, and Helm 3's has one of 5 MiB for a file in it, which the
// controllers of older releases hold to.
const (
	maxArchive  = 32 << 20
	maxUnpacked = 100 << 20
	maxFile     = 5 << 20
	maxNesting  = 4
)

// ErrTooBig means that a chart or an artifact is larger than any real one.
var ErrTooBig = errors.New("larger than any real chart or image")

// The names under which the platform is installed. Before kcm 1.9 the
// controller looks for a Helm release named exactly kcm; by another name it
// would not find the values and install its second pass with defaults.
const (
	ReleaseName = "kcm"
	Namespace   = "kcm-system"
)

// A Site says where a site keeps its images and how the platform is to reach
// them. Secrets are names in Namespace, "" for none.
type Site struct {
	Registry    string        // HOST[:PORT][/PREFIX]; "" stands for the public registries
	K0sURL      string        // below which k0s-VERSION-ARCH lies, for child clusters
	CASecret    string        // holds ca.crt, the registry's authority
	CredsSecret string        // holds username and password
	PullSecret  string        // of type kubernetes.io/dockerconfigjson
	PlainHTTP   bool          // the registry speaks no TLS
	KubeVersion string        // of the cluster, such as v1.32.8; templates ask for it
	HelmTimeout time.Duration // for each part that the platform installs; 0 leaves the chart's
}

// A Chart is a packaged chart with its subcharts, in memory.
type Chart struct {
	files []*archive.BufferedFile
	meta  *helm.Metadata
}

// Load reads a packaged chart (a tar.gz, as helm package writes it), to the
// end of r, so that an r that compares a digest there gets to. A chart that is
// larger than any real chart or image is refused with ErrTooBig before it is unpacked
// further, subcharts packed in it included.
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

// unpack returns the files of a chart, packed subcharts replaced by their files.
func unpack(r io.Reader, left *int64, depth int) ([]*archive.BufferedFile, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("subcharts packed more than %d deep: %w", maxNesting, ErrTooBig)
	}
	packed := &capped{r: r, left: maxArchive}
	files, err := archive.LoadArchiveFiles(packed)
	if err == nil { // an archive ends before its checksum does
		_, err = io.Copy(io.Discard, packed)
	}
	if packed.left < 0 {
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

// capped fails once more than left bytes were read.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return n, ErrTooBig
	}
	return n, err
}

// Name is the chart's name, such as k0rdent-enterprise.
func (c *Chart) Name() string { return c.meta.Name }

// Version is the chart's version as it writes it.
func (c *Chart) Version() string { return c.meta.Version }

// Helm returns the chart in Helm's form, a new one at each call, since Helm's
// functions change what they work on.
func (c *Chart) Helm() (*helm.Chart, error) {
	h, err := loader.LoadFiles(c.files)
	if err != nil {
		return nil, fmt.Errorf("chart: %w", err)
	}
	return h, nil
}

// whole returns the chart with every subchart switched on, under its alias, and
// the values of all of them merged: parents over children, given ones over
// all. What is off today may be on in the second pass. A key whose default is
// null is among them, since charts declare keys so.
func (c *Chart) whole(values map[string]any) (*helm.Chart, map[string]any, error) {
	h, err := c.Helm()
	if err != nil {
		return nil, nil, err
	}
	switchOn(h)
	if err := chartutil.ProcessDependencies(h, values); err != nil {
		return nil, nil, fmt.Errorf("chart %s: %w", c.Name(), err)
	}
	merged, err := util.MergeValues(h, values)
	if err != nil {
		return nil, nil, fmt.Errorf("chart %s: %w", c.Name(), err)
	}
	return h, merged, nil
}

// switchOn removes the conditions under which subcharts are part of h.
func switchOn(h *helm.Chart) {
	for _, d := range h.Metadata.Dependencies {
		d.Condition, d.Tags = "", nil
	}
	for _, sub := range h.Dependencies() {
		switchOn(sub)
	}
}

// subcharts lists the paths in the values at which subcharts read theirs, by
// alias: "regional", "regional.velero".
func subcharts(h *helm.Chart, below string, found map[string]bool) {
	for _, sub := range h.Dependencies() {
		p := join(below, sub.Name())
		found[p] = true
		subcharts(sub, p, found)
	}
}
