package page

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k0rdent-airgap/lib/registry"
)

const (
	// scanRows is how many names are read at a time when all are looked through.
	scanRows = 2500
	// scanTime bounds that for one page.
	scanTime = time.Second
	// chartName ends the name of the repository whose tags are the releases.
	chartName = "charts/k0rdent-enterprise"
	// maxReleases is how many releases of a repository are listed, of the first
	// maxVersions.
	maxReleases, maxVersions = 12, 1000
	// reuse is for how many times as long as it took a search for releases is not
	// repeated: that takes at most a twentieth of a core's time.
	reuse = 20
)

// repositories returns the names of all repositories after last, of which rows are
// read at a time.
func repositories(ctx context.Context, store registry.Store, last string, rows int) iter.Seq2[string, error] {
	return registry.Each(last, func(last string) ([]string, bool, error) { return store.Repositories(ctx, last, rows) })
}

// search returns the repositories on a page. next is the name after which the
// next page begins, "" if this is the last one. A page of a search has fewer
// rows, or none, when scanTime ended it.
func search(ctx context.Context, store registry.Store, q request) (names []string, next string, err error) {
	words := strings.Fields(strings.ToLower(q.search))
	rows := scanRows
	if len(words) == 0 {
		rows = q.rows + 1
	}
	end := time.Now().Add(scanTime)
	for name, err := range repositories(ctx, store, q.last, rows) {
		switch {
		case err != nil:
			return nil, "", err
		case slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(name, word) }):
			if time.Now().After(end) {
				return names, name, nil
			}
		case len(names) == q.rows:
			return names, names[len(names)-1], nil
		default:
			names = append(names, name)
		}
	}
	return names, "", nil
}

// release is a release of k0rdent Enterprise in the registry.
type release struct {
	Version, Repository, Link string
}

// releases caches the list of releases briefly.
type releases struct {
	mu      sync.Mutex
	until   time.Time
	known   []release
	partial bool
}

// get returns the releases, newest first for each repository. partial reports
// that there was no time to look through all repositories.
func (c *releases) get(ctx context.Context, store registry.Store) (list []release, partial bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := time.Now()
	if start.Before(c.until) {
		return c.known, c.partial, nil
	}
	if list, partial, err = findReleases(ctx, store, start.Add(scanTime)); err == nil {
		c.known, c.partial, c.until = list, partial, time.Now().Add(reuse*time.Since(start))
	}
	return list, partial, err
}

func findReleases(ctx context.Context, store registry.Store, end time.Time) (list []release, partial bool, err error) {
	for name, err := range repositories(ctx, store, "", scanRows) {
		if err != nil {
			return nil, false, err
		}
		if len(list) >= maxRows || time.Now().After(end) {
			return list, true, nil
		}
		if name != chartName && !strings.HasSuffix(name, "/"+chartName) {
			continue
		}
		versions, _, err := store.Tags(ctx, name, "", maxVersions)
		if err != nil {
			return nil, false, err
		}
		slices.SortFunc(versions, func(a, b string) int { return compareVersions(b, a) })
		for _, v := range versions[:min(len(versions), maxReleases)] {
			list = append(list, release{v, name, link("repository", name, "tag", v)})
		}
	}
	return list, false, nil
}

// compareVersions orders versions by their numbers, a release after those that
// came before it, such as 1.2.0-rc1.
func compareVersions(a, b string) int {
	a, preA, isPreA := strings.Cut(strings.TrimPrefix(a, "v"), "-")
	b, preB, isPreB := strings.Cut(strings.TrimPrefix(b, "v"), "-")
	if c := slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), compareNumbers); c != 0 {
		return c
	}
	if isPreA != isPreB {
		if isPreA {
			return -1
		}
		return 1
	}
	return strings.Compare(preA, preB)
}

func compareNumbers(a, b string) int {
	x, errA := strconv.ParseUint(a, 10, 64)
	y, errB := strconv.ParseUint(b, 10, 64)
	if errA != nil || errB != nil {
		return strings.Compare(a, b)
	}
	return cmp.Compare(x, y)
}
