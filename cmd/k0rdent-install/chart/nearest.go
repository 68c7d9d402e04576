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

// nearest finds what comes closest to a reference that is not there: another
// tag of the same repository, or else a repository of a like name. It is given
// as one would ask for it, or "" if nothing is like it.
func (k *closure) nearest(ctx context.Context, repository string, r ref.Reference, repositories []string) (string, error) {
	if slices.Contains(repositories, repository) {
		tags, err := k.inv.Tags(ctx, repository)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return "", err
		}
		if tag := closest(r.Identifier(), tags); tag != "" {
			return k.site.Registry + "/" + repository + ":" + tag, nil
		}
	}
	if like := alike(repository, repositories); like != "" && like != repository {
		return k.site.Registry + "/" + like, nil
	}
	return "", nil
}

// closest picks the tag with the fewest changes to want, "" for no tags.
func closest(want string, tags []string) string {
	best, least := "", 0
	for _, t := range slices.Sorted(slices.Values(tags)) {
		if d := nearest.Distance(want, t); best == "" || d < least {
			best, least = t, d
		}
	}
	return best
}

// alike picks the repository whose last element is want's but for two
// characters at most, and a quarter of it: a chart for a chart, an image for an
// image. Among equals the one wins whose whole name is nearer.
func alike(want string, repositories []string) string {
	best, least := "", 0
	for _, r := range slices.Sorted(slices.Values(repositories)) {
		last := path.Base(want)
		d := nearest.Distance(last, path.Base(r))
		if d > 2 || d*4 >= len(last) && d > 0 || strings.HasPrefix(want, "charts/") != strings.HasPrefix(r, "charts/") {
			continue
		}
		if d = d<<16 + nearest.Distance(want, r); best == "" || d < least {
			best, least = r, d
		}
	}
	return best
}
