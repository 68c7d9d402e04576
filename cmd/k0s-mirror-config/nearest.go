package main

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"k0rdent-airgap/lib/ref"
)

const (
	// maxKnown bounds the repositories of a mirror that are held.
	maxKnown = 100_000
	// maxNear is how many repositories are examined for one missing image.
	maxNear = 20
	// maxTags bounds the tags that are read from one of them, shownTags
	// those that are shown.
	maxTags   = 10_000
	shownTags = 3
)

// nearest describes what a mirror has instead of an image that it lacks: the
// same tag under another path, or other tags of the same path. It returns "" if
// there is nothing similar, or the mirror has no catalog.
func (c *checker) nearest(ctx context.Context, m *mirror, i ref.Reference) string {
	if m.err != nil {
		return ""
	}
	wanted := ref.Site{Prefix: m.prefix}.Repository(i.Repository)
	near := c.alike(ctx, m, wanted)
	for _, repository := range near {
		if repository == wanted {
			continue
		}
		if digest, err := m.reg.Digest(ctx, repository, i.Identifier()); err == nil && digest != "" {
			if c.aliasAt = cmp.Or(c.aliasAt, m.host); c.aliasAt == m.host && i.Digest == "" {
				c.aliases = append(c.aliases, fmt.Sprintf("%s:%s=%s:%s", repository, i.Identifier(), wanted, i.Identifier()))
			}
			return fmt.Sprintf("the nearest match is %s:%s", repository, i.Identifier())
		}
	}
	for _, repository := range near {
		if tags := closest(c.tags(ctx, m, repository), i.Identifier()); len(tags) > 0 {
			return fmt.Sprintf("the nearest match is %s:%s", repository, strings.Join(tags, ", :"))
		}
	}
	return ""
}

// alike returns the repositories of a mirror that end in the same component as
// the wanted one, the most similar first.
func (c *checker) alike(ctx context.Context, m *mirror, wanted string) []string {
	if !m.listed {
		m.listed = true
		for name, err := range m.reg.Repositories(ctx) {
			if err != nil || len(m.known) == maxKnown {
				c.log.Info("listing the mirror", "mirror", m.host, "repositories", len(m.known), "error", err)
				break
			}
			m.known = append(m.known, name)
		}
	}
	var near []string
	for _, name := range m.known {
		if path.Base(name) == path.Base(wanted) {
			near = append(near, name)
		}
	}
	slices.SortStableFunc(near, func(a, b string) int {
		return cmp.Or(cmp.Compare(commonParts(b, wanted), commonParts(a, wanted)), cmp.Compare(len(a), len(b)))
	})
	return near[:min(len(near), maxNear)]
}

// commonParts returns the number of components that two paths share, from their
// ends.
func commonParts(a, b string) int {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	slices.Reverse(as)
	slices.Reverse(bs)
	return common(as, bs)
}

// common returns the number of elements that two lists share, from their starts.
func common[T comparable](a, b []T) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func (c *checker) tags(ctx context.Context, m *mirror, repository string) []string {
	var tags []string
	for tag, err := range m.reg.Tags(ctx, repository) {
		if err != nil || len(tags) == maxTags {
			break
		}
		tags = append(tags, tag)
	}
	return tags
}

// closest returns the few tags with the longest prefix in common with the
// wanted one.
func closest(tags []string, wanted string) []string {
	near := func(tag string) int { return common([]byte(tag), []byte(wanted)) }
	slices.SortStableFunc(tags, func(a, b string) int { return cmp.Compare(near(b), near(a)) })
	return tags[:min(len(tags), shownTags)]
}
