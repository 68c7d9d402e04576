package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

const (
	maxList  = 16 << 20 // bytes of one page of a list
	maxPages = 10_000   // of one list
)

// Repositories yields the repositories below the prefix, in the order of the
// registry's catalog, which not every registry has. It ends with the first
// error.
func (r *Registry) Repositories(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for repository, err := range r.list(ctx, "", r.address("/v2/_catalog"), "repositories") {
			name, below := strings.CutPrefix(repository, r.Repository(""))
			if err == nil && (!below || name == "") {
				continue
			}
			if !yield(name, err) {
				return
			}
		}
	}
}

// Tags yields the tags of a repository. It ends with the first error; that of a
// repository that does not exist is ErrNotFound.
func (r *Registry) Tags(ctx context.Context, repository string) iter.Seq2[string, error] {
	return r.list(ctx, repository, r.url(repository, "tags", "list"), "tags")
}

// list yields each name in a list of the registry (end-8).
func (r *Registry) list(ctx context.Context, repository string, u *url.URL, field string) iter.Seq2[string, error] {
	u.RawQuery = "n=1000"
	return r.pages(ctx, repository, u, maxList, func(raw []byte) (names []string, err error) {
		var answer map[string]json.RawMessage
		if err := json.Unmarshal(raw, &answer); err != nil {
			return nil, markf(errPage, nil, "registry answered with %d bytes that are not a list", len(raw))
		}
		if list := answer[field]; list != nil {
			if err := json.Unmarshal(list, &names); err != nil {
				return nil, fmt.Errorf("list: %w", err)
			}
		}
		return names, nil
	})
}

// pages yields each item of a list, page by page. A page has at most most bytes,
// and parse returns its items. It ends with the first error.
func (r *Registry) pages(ctx context.Context, repository string, u *url.URL, most int64, parse func([]byte) ([]string, error)) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		at := u
		for range maxPages {
			var items []string
			var header http.Header
			err := r.retry(ctx, func() error {
				raw, h, err := r.get(ctx, repository, at, nil, most)
				if err == nil {
					header = h
					items, err = parse(raw)
				}
				return err
			})
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if err == nil {
				at, err = nextPage(at, header.Get("Link"))
			}
			if err != nil {
				yield("", err)
			}
			if err != nil || at == nil {
				return
			}
		}
		yield("", fmt.Errorf("more than %d pages", maxPages))
	}
}

// collect returns the items of a list up to its error.
func collect(list iter.Seq2[string, error]) (all []string, err error) {
	for item, err := range list {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}

// link matches the address in a Link header with rel="next" (RFC 8288).
var link = regexp.MustCompile(`<([^>]*)>\s*;\s*rel="?next"?`)

// nextPage returns the address of the page after u, or nil if u is the last. It
// must be at the same host, since each request carries the registry's
// credentials.
func nextPage(u *url.URL, header string) (*url.URL, error) {
	m := link.FindStringSubmatch(header)
	if m == nil {
		return nil, nil
	}
	next, err := u.Parse(m[1])
	if err != nil {
		return nil, err
	}
	if next.Host != u.Host {
		return nil, fmt.Errorf("list continues at another host, %s", clip(next.Host))
	}
	return next, nil
}
