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

// jobs is how many questions a registry is asked at a time.
const jobs = 8

// A closure collects what the platform asks for, then asks the registry.
type closure struct {
	site   Site
	inv    Inventory
	leaves []leaf // of the platform's chart with the values at hand
	values map[string]any
	needs  []*Need
	known  map[string]*Need // by kind and reference
	demand Demand           // of the second pass and of all components

	clusterCharts []clusterChart // by the names of their templates
}

// Closure lists everything that the platform, installed with values (derived
// and the operator's, merged), will ask a registry for, and looks whether the
// site's registry has it:
//
//   - the images of both passes,
//   - the chart kcm-templates and each chart that its templates name,
//   - of each part that its release enables: the images in its chart, the
//     artifact with its components, and the images in those,
//   - the images that Sveltos pulls by digests compiled into it,
//   - what the cluster templates name, and the charts of KOF if the registry has
//     them, which is Optional.
//
// Needs are in the order in which they were found. An image that is asked from
// another registry is Outside, and is Missing too unless the site's registry
// has it at the path at which a mirror would look. The error is about a chart
// that cannot be rendered, a registry that does not answer, or a site that has
// none. Demand is what the pods of all that request of the nodes.
func (c *Chart) Closure(ctx context.Context, values map[string]any, site Site, inv Inventory) ([]Need, Demand, error) {
	k, err := c.collect(ctx, values, site, inv)
	if err != nil {
		return nil, Demand{}, err
	}
	needs, err := k.resolve(ctx)
	return needs, k.demand, err
}

// collect notes all that Closure looks for.
func (c *Chart) collect(ctx context.Context, values map[string]any, site Site, inv Inventory) (*closure, error) {
	if site.Registry == "" {
		return nil, errors.New("no registry to look into")
	}
	h, merged, err := c.whole(values)
	if err != nil {
		return nil, err
	}
	roots := map[string]bool{"": true}
	subcharts(h, "", roots)
	k := &closure{site: site, inv: inv, leaves: walk(merged, roots).leaves, values: merged, known: map[string]*Need{}}
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

// Check looks for images in the site's registry as Closure does, such as
// those of k0s, which who asks for.
func Check(ctx context.Context, images []string, who string, site Site, inv Inventory) ([]Need, error) {
	k := &closure{site: site, inv: inv, known: map[string]*Need{}}
	for _, reference := range images {
		k.want(KindImage, reference, who)
	}
	return k.resolve(ctx)
}

// want notes a need, once for all who have it. Somebody needs it for sure.
func (k *closure) want(kind, reference, who string) *Need {
	n := k.known[kind+" "+reference]
	if n == nil {
		n = &Need{Kind: kind, Reference: reference}
		k.known[kind+" "+reference] = n
		k.needs = append(k.needs, n)
	}
	if !slices.Contains(n.WantedBy, who) {
		n.WantedBy = append(n.WantedBy, who)
	}
	n.Optional = false
	return n
}

// wantOptional is want for what the platform can become ready without.
func (k *closure) wantOptional(kind, reference, who string) *Need {
	n := k.known[kind+" "+reference]
	optional := n == nil || n.Optional
	n = k.want(kind, reference, who)
	n.Optional = optional
	return n
}

// manifests notes the images of one pass of the platform's chart. What only
// the second pass has is reported.
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

// mentioned lists the images of the site's registry that an object has in any
// string. Without a tag it is a place for images or charts.
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

func (k *closure) inPass(reference string, o Object, pass int) {
	who := o.String()
	if n := k.known[KindImage+" "+reference]; pass == SecondPass && (n == nil || !slices.Contains(n.WantedBy, who)) {
		who += " in the second pass"
	}
	k.want(KindImage, reference, who)
}

// resolve asks the registry for everything that was collected.
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

// find looks one need up.
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
		n.Remark = "only a mirror of " + r.Normalized().Host + " brings it from the site's registry"
	}
	return nil
}

// anyOf looks for a repository that has anything. Where digests of indexes will
// be asked for, a manifest of it is looked at: a copy for one platform has
// another digest, and breaks such pulls though its tag is there.
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
		n.Remark = "tag " + tag + " is no index: the digest of one will be asked for and not be found"
	}
	return err
}

// cover returns the path of the value by which an image got its name, or "".
func (k *closure) cover(name string) string {
	i := slices.IndexFunc(k.leaves, func(l leaf) bool { return full(l.name) == full(name) })
	if i < 0 {
		return ""
	}
	return k.leaves[i].path.String()
}

// fault notes something that cannot be had, for a reason that is known.
func (k *closure) fault(kind, reference, who, format string, args ...any) *Need {
	n := k.want(kind, reference, who)
	n.found, n.Missing, n.Remark = true, true, fmt.Sprintf(format, args...)
	return n
}

// chartReference is where a chart of the platform's repository lies. Helm
// writes the "+" of a version as "_" in a tag.
func chartReference(repository, name, version string) string {
	return strings.TrimSuffix(repository, "/") + "/" + name + ":" + ref.ChartTag(version)
}
