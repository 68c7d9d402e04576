package chart

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/ref"
)

// jobs is the number of concurrent requests to the registry.
const jobs = 8

// A closure collects what the platform requests, then looks it up in the registry.
type closure struct {
	site   Site
	inv    Inventory
	leaves []leaf // of the platform's chart with these values
	values map[string]any
	needs  []*Need
	known  map[string]*Need // by kind and reference
	demand Demand           // of the second pass and of all components

	clusterCharts []clusterChart // by the names of their templates
}

// Closure returns everything that the platform, installed with values (derived and
// the operator's, merged), requests from a registry, and whether the site's registry
// has it:
//
//   - the images of both passes,
//   - the chart kcm-templates and each chart that its templates name,
//   - for each component that its release enables: the images in its chart, the
//     artifact with its manifests, and the images in those,
//   - the images that Sveltos pulls by digests compiled into it,
//   - as Optional, what the cluster templates name, and the charts of KOF if the
//     registry has them.
//
// Needs are in the order in which they were found. An image that is pulled from
// another registry is Outside, and also Missing unless the site's registry has it at
// the path that a mirror would use. It is an error if a chart cannot be rendered, the
// registry does not answer, or the site has none. Demand is the sum of the requests
// of the pods.
func (c *Chart) Closure(ctx context.Context, values map[string]any, site Site, inv Inventory) ([]Need, Demand, error) {
	k, err := c.collect(ctx, values, site, inv)
	if err != nil {
		return nil, Demand{}, err
	}
	needs, err := k.resolve(ctx)
	return needs, k.demand, err
}

// collect adds everything that Closure looks up.
func (c *Chart) collect(ctx context.Context, values map[string]any, site Site, inv Inventory) (*closure, error) {
	if site.Registry == "" {
		return nil, errors.New("no registry")
	}
	merged, subcharts, err := c.whole(values)
	if err != nil {
		return nil, err
	}
	k := &closure{site: site, inv: inv, leaves: walk(merged, subcharts).leaves, values: merged, known: map[string]*Need{}}
	for _, pass := range []int{FirstPass, SecondPass} {
		m, err := c.Render(values, site, pass)
		if err != nil {
			return nil, err
		}
		k.manifests(m, pass)
		if pass == SecondPass {
			k.demand.add(m)
		}
	}
	return k, k.templates(ctx, c.Version())
}

// add adds a need, or to an existing one what requires it. It is not optional.
func (k *closure) add(kind, reference, by string) *Need {
	n := k.known[kind+" "+reference]
	if n == nil {
		n = &Need{Kind: kind, Reference: reference}
		k.known[kind+" "+reference] = n
		k.needs = append(k.needs, n)
	}
	addNew(&n.RequiredBy, by)
	n.Optional = false
	return n
}

// addOptional adds a need without which the platform can become ready.
func (k *closure) addOptional(kind, reference, by string) *Need {
	n := k.known[kind+" "+reference]
	optional := n == nil || n.Optional
	n = k.add(kind, reference, by)
	n.Optional = optional
	return n
}

// manifests adds the images of one pass of the platform's chart.
func (k *closure) manifests(m Manifests, pass int) {
	for _, i := range m.Images() {
		k.inPass(i.Reference, i.Object, pass)
	}
	for _, o := range m {
		for _, name := range k.mentioned(o) {
			k.inPass(name, o, pass)
		}
	}
}

// mentioned returns the images of the site's registry in any string of an object.
// Names without a tag are prefixes of images or charts.
func (k *closure) mentioned(o Object) []string {
	var all []string
	mentions(o.Content, k.site.Registry, nil, func(scheme, name string, _ map[string]any) {
		r, err := ref.ParseImage(name)
		if _, inside := k.site.inside(r.Name()); err == nil && inside && scheme == "" && r.Suffix() != "" {
			all = append(all, name)
		}
	})
	return all
}

// inPass adds an image of an object, and marks those of the second pass only.
func (k *closure) inPass(reference string, o Object, pass int) {
	by := o.String()
	if n := k.known[KindImage+" "+reference]; pass == SecondPass && (n == nil || !slices.Contains(n.RequiredBy, by)) {
		by += " in the second pass"
	}
	k.add(KindImage, reference, by)
}

// resolve looks up everything that was collected.
func (k *closure) resolve(ctx context.Context) ([]Need, error) {
	repositories, err := k.inv.Repositories(ctx)
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(jobs)
	for _, n := range k.needs {
		if !n.found {
			group.Go(func() error { return k.find(ctx, n, repositories) })
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := make([]Need, len(k.needs))
	for i, n := range k.needs {
		all[i] = *n
	}
	return all, nil
}

// find looks up one need.
func (k *closure) find(ctx context.Context, n *Need, repositories []string) error {
	r, err := ref.ParseImage(n.Reference)
	if err != nil {
		n.Missing, n.Remark = true, "not a valid reference"
		return nil
	}
	repository, inside := k.site.inside(r.Name())
	if !inside {
		n.Outside = true
		n.Value = k.cover(r.Name())
		repository = r.Normalized().Repository
	}
	if n.anyTag {
		err = k.anyOf(ctx, n, repository)
	} else {
		n.Digest, err = k.inv.Resolve(ctx, repository, r.Identifier())
	}
	if _, moved := errors.AsType[*client.MovedError](err); moved {
		n.Moved = err
		return nil
	}
	switch {
	case errors.Is(err, ErrNotFound):
		n.Missing = true
		n.Nearest, err = k.nearest(ctx, repository, r, repositories)
		return err
	case err != nil:
		return fmt.Errorf("%s: %w", n.Reference, err)
	}
	if n.Outside {
		n.Remark = "pulled from the site's registry only through a mirror of " + r.Normalized().Host
	}
	return nil
}

// anyOf looks for a repository with any tag. If digests of its indexes are pulled, it
// also reads a manifest: a copy for one platform has another digest, and such pulls
// fail although the tag exists.
func (k *closure) anyOf(ctx context.Context, n *Need, repository string) error {
	tags, err := k.inv.Tags(ctx, repository)
	if err != nil {
		return err
	}
	if len(tags) == 0 {
		return ErrNotFound
	}
	if n.byDigest == "" {
		return nil
	}
	tag := n.byDigest
	if !slices.Contains(tags, tag) {
		tag = slices.Max(tags)
	}
	if n.Digest, err = k.inv.Resolve(ctx, repository, tag); err != nil {
		return err
	}
	_, mediaType, err := k.inv.Manifest(ctx, repository, tag)
	if err == nil && !types.MediaType(mediaType).IsIndex() {
		n.Remark = "tag " + tag + " is not an index, and pulls by the digest of its index will fail"
	}
	return err
}

// cover returns the path of the value that names an image, or "".
func (k *closure) cover(name string) string {
	i := slices.IndexFunc(k.leaves, func(l leaf) bool { return full(l.name) == full(name) })
	if i < 0 {
		return ""
	}
	return k.leaves[i].path.String()
}

// addMissing adds a need that cannot be met, and why.
func (k *closure) addMissing(kind, reference, by, format string, args ...any) *Need {
	n := k.add(kind, reference, by)
	n.found, n.Missing, n.Remark = true, true, fmt.Sprintf(format, args...)
	return n
}

// chartReference returns the reference of a chart in the platform's repository. Helm
// writes the "+" of a version as "_" in a tag.
func chartReference(repository, name, version string) string {
	return strings.TrimSuffix(repository, "/") + "/" + name + ":" + ref.ChartTag(version)
}
