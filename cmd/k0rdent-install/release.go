package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
	"helm.sh/helm/v4/pkg/strvals"
	kyaml "sigs.k8s.io/yaml"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/textfile"
)

const (
	namespace = chart.Namespace

	// Names of our Secrets in that namespace.
	caSecret    = "k0rdent-registry-ca"
	credsSecret = "k0rdent-registry-login"
	pullSecret  = "k0rdent-registry-pull"
)

// release is the platform's chart with its values for this site.
type release struct {
	chart  *chart.Chart
	site   chart.Site
	values map[string]any // derived values, overridden by the operator's
	user   map[string]any // the operator's
	notes  []chart.Note

	plainK0s   string         // the registry's URL of k0s over plain HTTP, or ""
	k0sFiles   []string       // the files of k0s that the registry serves
	k0sFinding record.Finding // a problem of child clusters that download k0s, if any
}

// loadRelease fetches the chart from the registry and derives its values.
func (i *installer) loadRelease(ctx context.Context) error {
	if i.release != nil {
		return nil
	}
	user, err := i.cfg.userValues()
	if err != nil {
		return err
	}
	repository := chartRepository(i.cfg.chart)
	version, err := i.releaseVersion(ctx, repository)
	if err != nil {
		return err
	}
	c, err := i.fetchChart(ctx, repository, version)
	if err != nil {
		return err
	}
	r := &release{chart: c, user: user}
	i.chartSite(ctx, r)
	if err := r.derive(ctx, i.site); err != nil {
		return err
	}
	if err := i.avoidUntrusted(ctx, r); err != nil {
		return err
	}
	i.release = r
	return nil
}

// derive finds the values of the site.
func (r *release) derive(ctx context.Context, inv chart.Inventory) error {
	derived, notes, err := r.chart.Derive(ctx, r.site, inv)
	if err != nil {
		return err
	}
	r.notes, r.values = notes, chart.Merge(derived, r.user)
	_, err = r.chart.Render(r.values, r.site, chart.FirstPass) // which checks them
	return err
}

// chartRepository returns the repository in a chart's address, which k0rdentd's
// configuration may write as oci://HOST/REPOSITORY.
func chartRepository(name string) string {
	rest, found := strings.CutPrefix(name, "oci://")
	if !found {
		return strings.Trim(name, "/")
	}
	_, path, _ := strings.Cut(rest, "/")
	return strings.TrimPrefix(strings.Trim(path, "/"), "k0rdent-enterprise/")
}

// releaseVersion returns the version of --release, of the bundle's record, or the
// only one in the registry.
func (i *installer) releaseVersion(ctx context.Context, repository string) (string, error) {
	if i.cfg.release != "" {
		return i.cfg.release, nil
	}
	if v := i.bundle; v != nil && v.Version != "" {
		return v.Version, nil
	}
	if i.cfg.online && i.cfg.At == "" {
		return "", cli.Hint(errors.New("no release given"), "set --release VERSION")
	}
	tags, err := i.site.Tags(ctx, repository)
	switch {
	case errors.Is(err, chart.ErrNotFound) || err == nil && len(tags) == 0:
		return "", cli.Hint(fmt.Errorf("%s/%s is not in the registry", i.site.at, repository), "bundle-ls BUNDLE | oci-push --to %s", i.site.at)
	case err != nil:
		return "", err
	case len(tags) > 1:
		slices.Sort(tags)
		return "", cli.Hint(fmt.Errorf("the registry has several releases: %s", strings.Join(tags, " ")), "choose one with --release VERSION")
	}
	return strings.ReplaceAll(tags[0], "_", "+"), nil
}

// fetchChart fetches a chart. Its tag has "_" for "+" in the version.
func (i *installer) fetchChart(ctx context.Context, repository, version string) (*chart.Chart, error) {
	s := i.site
	tag := ref.ChartTag(version)
	c, err := chart.Fetch(ctx, s, repository, tag)
	switch {
	case errors.Is(err, chart.ErrNotFound):
		tags, _ := s.Tags(ctx, repository)
		slices.Sort(tags)
		return nil, cli.Hint(err, "the registry has %s", cmp.Or(strings.Join(tags, " "), "no such chart"))
	case errors.Is(err, chart.ErrUnusable):
		return nil, fmt.Errorf("%s/%s:%s: %w", s.at, repository, tag, err)
	}
	return c, err
}

// chartSite determines how the platform reaches the registry.
func (i *installer) chartSite(ctx context.Context, r *release) {
	c := i.cfg
	r.site = chart.Site{KubeVersion: i.kubeVersion(), HelmTimeout: c.helmTimeout, K0sURL: c.k0sURL}
	if c.online {
		return
	}
	r.site.Registry, r.site.PlainHTTP = i.site.at, c.PlainHTTP
	if len(i.site.ca) > 0 {
		r.site.CASecret = caSecret
	}
	if c.Username != "" {
		r.site.CredsSecret, r.site.PullSecret = credsSecret, pullSecret
	}
	if r.site.K0sURL == "" {
		i.findK0s(ctx, r)
	}
}

// kubeVersion returns the Kubernetes version of the cluster, or of the one that
// k0s-up will start. If neither is known, as on an operator's own machine, it returns
// that of the platform's first releases.
func (i *installer) kubeVersion() string {
	version, _, _ := strings.Cut(cmp.Or(i.version, i.node.Kubernetes, "v1.32.0"), "+")
	return version
}

// userValues returns the operator's values, merged from the configuration file, the
// files of --values in order, and --set.
func (c *settings) userValues() (map[string]any, error) {
	values := chart.Merge(nil, c.file.values)
	for _, name := range c.values {
		text, err := textfile.Read(name)
		if err != nil {
			return nil, cli.Misuse("--values: %w", err)
		}
		var more map[string]any
		if err := kyaml.UnmarshalStrict(text, &more); err != nil {
			return nil, cli.Misuse("--values %s: %w", name, err)
		}
		values = chart.Merge(values, more)
	}
	for _, set := range c.sets {
		if err := strvals.ParseInto(set, values); err != nil {
			return nil, cli.Misuse("invalid --set %q: %w", set, err)
		}
	}
	return values, nil
}

// imageBytes returns the total size in the registry of the required images for this
// host's platform, counting each blob once.
func (i *installer) imageBytes(ctx context.Context) (total int64, err error) {
	var mu sync.Mutex
	blobs := make(map[v1.Hash]int64)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, n := range i.needs {
		if n.Kind != chart.KindImage || n.Missing || n.Optional || n.Digest == "" {
			continue
		}
		group.Go(func() error {
			some, err := i.blobsOf(ctx, n)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(blobs, some)
			return err
		})
	}
	err = group.Wait()
	for _, size := range blobs {
		total += size
	}
	return total, err
}

// blobsOf returns the sizes of an image's blobs.
func (i *installer) blobsOf(ctx context.Context, n chart.Need) (map[v1.Hash]int64, error) {
	image, err := ref.ParseImage(n.Reference)
	if err != nil {
		return nil, err
	}
	repository, found := strings.CutPrefix(image.Name(), i.site.at+"/")
	if !found {
		repository = image.Normalized().Repository
	}
	for reference := n.Digest; ; {
		raw, _, err := i.site.Manifest(ctx, repository, reference)
		if err != nil {
			return nil, err
		}
		var m struct {
			v1.Manifest
			Manifests []v1.Descriptor `json:"manifests"`
		}
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, fmt.Errorf("%s: manifest: %w", n.Reference, err)
		}
		at := slices.IndexFunc(m.Manifests, func(d v1.Descriptor) bool {
			return d.Platform != nil && d.Platform.OS == "linux" && d.Platform.Architecture == i.host.arch
		})
		if at < 0 {
			sizes := map[v1.Hash]int64{m.Config.Digest: m.Config.Size}
			for _, layer := range m.Layers {
				sizes[layer.Digest] = layer.Size
			}
			return sizes, nil
		}
		reference = m.Manifests[at].Digest.String()
	}
}
