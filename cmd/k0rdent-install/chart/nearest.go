package chart

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"k0rdent-airgap/lib/nearest"
	"k0rdent-airgap/lib/ref"
)

// nearest returns the reference in the registry that is most similar to a missing
// one: another tag of the same repository, or else a repository with a similar name.
// It is "" if there is none.
func (k *closure) nearest(ctx context.Context, repository string, r ref.Reference, repositories []string) (string, error) {
	if slices.Contains(repositories, repository) {
		tags, err := k.inv.Tags(ctx, repository)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return "", err
		}
		if tag := nearest.Word(r.Identifier(), slices.Sorted(slices.Values(tags))); tag != "" {
			return k.site.Registry + "/" + repository + ":" + tag, nil
		}
	}
	if like := similar(repository, repositories); like != "" && like != repository {
		return k.site.Registry + "/" + like, nil
	}
	return "", nil
}

// similar returns the repository whose last element differs from name's by at most
// two characters and a quarter of it: a chart for a chart, an image for an image.
// Among equals, the whole name decides.
func similar(name string, repositories []string) string {
	best, least := "", 0
	for _, r := range slices.Sorted(slices.Values(repositories)) {
		last := path.Base(name)
		d := nearest.Distance(last, path.Base(r))
		if d > 2 || d*4 >= len(last) && d > 0 || strings.HasPrefix(name, "charts/") != strings.HasPrefix(r, "charts/") {
			continue
		}
		if d = d<<16 + nearest.Distance(name, r); best == "" || d < least {
			best, least = r, d
		}
	}
	return best
}
