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

// list yields each name in a list of the registry, page by page (end-8).
func (r *Registry) list(ctx context.Context, repository string, u *url.URL, field string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		u.RawQuery = "n=1000"
		for range maxPages {
			var names []string
			var next *url.URL
			err := r.retry(ctx, func() (err error) {
				names, next, err = r.page(ctx, repository, u, field)
				return err
			})
			for _, name := range names {
				if !yield(name, nil) {
					return
				}
			}
			if err != nil {
				yield("", err)
			}
			if err != nil || next == nil {
				return
			}
			u = next
		}
		yield("", fmt.Errorf("more than %d pages", maxPages))
	}
}

func (r *Registry) page(ctx context.Context, repository string, u *url.URL, field string) (names []string, next *url.URL, err error) {
	resp, err := r.do(ctx, repository, http.MethodGet, u, nil, 0, nil)
	if err != nil {
		return nil, nil, err
	}
	defer drain(resp)
	if err := checkStatus(resp, http.StatusOK); err != nil {
		return nil, nil, err
	}
	raw, err := readCapped(resp.Body, maxList)
	if err != nil {
		return nil, nil, err
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, nil, problemf(errPage, "registry answered with %d bytes that are not a list", len(raw))
	}
	if list := answer[field]; list != nil {
		if err := json.Unmarshal(list, &names); err != nil {
			return nil, nil, fmt.Errorf("list: %w", err)
		}
	}
	next, err = nextPage(u, resp.Header.Get("Link"))
	return names, next, err
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
