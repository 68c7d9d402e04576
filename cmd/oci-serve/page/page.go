// Package page is the page for people at / of oci-serve: what the registry
// holds, how to pull it, and which authority to trust.
//
// A page is made from the store for each request and holds at most maxRows
// repositories or tags, however many there are. Whatever a registry's clients
// chose (names, tags, annotations, platforms) passes through html/template, and
// the answer's Content-Security-Policy allows no script.
package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	_ "embed" // the template and its style
	"encoding/base64"
	"errors"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/registry"
)

const (
	// defaultRows and maxRows bound the repositories or tags on a page (?n=).
	defaultRows, maxRows = 50, 100
	// maxPages bounds the pages that are made or sent at once, shared among the
	// addresses that ask; each takes some 100 KB. maxMaking bounds those of them
	// that are being made, each of which takes up to 10 MB.
	maxPages, maxMaking = 32, 2
	// maxQuery is the length in bytes up to which a search is read.
	maxQuery = 255
)

var (
	//go:embed page.html
	markup string
	//go:embed style.css
	style string

	pages = template.Must(template.New("page").Parse(markup))
)

// policy allows the page's own style and a form that leads back to it.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}()

// Options of a page.
type Options struct {
	// Usage returns what the storage holds; the zero value if that is unknown.
	Usage func() registry.Usage
	// CA is the registry's own authority, or nil.
	CA *x509.Certificate
}

// Page makes the page. Its methods may be called from several goroutines.
type Page struct {
	Options
	store    registry.Store
	places   registry.Share
	making   chan struct{} // has a value for each page that is being made
	releases releases
}

// New returns the page over a store.
func New(store registry.Store, o Options) *Page {
	return &Page{Options: o, store: store, places: registry.Share{Limit: maxPages}, making: make(chan struct{}, maxMaking)}
}

// Wanted reports whether a request asks for the page: for / from a client that
// names HTML among what it accepts, as browsers do and curl and registry clients
// do not.
func Wanted(r *http.Request) bool {
	if r.URL.Path != "/" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, header := range r.Header.Values("Accept") {
		for item := range strings.SplitSeq(header, ",") {
			kind, params, err := mime.ParseMediaType(item)
			if err == nil && kind == "text/html" {
				quality, err := strconv.ParseFloat(params["q"], 64)
				return err != nil || quality > 0
			}
		}
	}
	return false
}

// Serve answers a request for the page; it is for [registry.Handler.Beside].
func (p *Page) Serve(w http.ResponseWriter, r *http.Request) error {
	from := registry.Network(r)
	if !p.places.Acquire(from, 1) {
		return &registry.Refusal{Err: registry.ErrTooMany, Header: http.Header{"Retry-After": {"1"}}}
	}
	defer p.places.Release(from, 1)
	body, status, err := p.make(r)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept")
	w.WriteHeader(status)
	_, err = w.Write(body)
	return err
}

// request is what the query of a page's address asks for.
type request struct {
	repository, tag string // "" for the list of repositories, for all tags
	search          string
	last            string
	rows            int
}

func parse(query url.Values) request {
	q := request{repository: query.Get("repository"), tag: query.Get("tag"), last: query.Get("last"), rows: defaultRows}
	q.search = strings.ToValidUTF8(query.Get("q")[:min(len(query.Get("q")), maxQuery)], "")
	if n, err := strconv.Atoi(query.Get("n")); err == nil && n > 0 {
		q.rows = min(n, maxRows)
	}
	return q
}

// link returns the address of the page that a query asks for.
func link(pairs ...string) string {
	query := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	return "/?" + query.Encode()
}

// after returns the address of the page that follows last.
func (q request) after(last string) string {
	rows := ""
	if q.rows != defaultRows {
		rows = strconv.Itoa(q.rows)
	}
	return link("repository", q.repository, "q", q.search, "n", rows, "last", last)
}

// make makes the page that a request asks for.
func (p *Page) make(r *http.Request) (body []byte, status int, err error) {
	select {
	case p.making <- struct{}{}:
		defer func() { <-p.making }()
	case <-r.Context().Done():
		return nil, 0, registry.ErrTooMany
	}
	q := parse(r.URL.Query())
	v := &view{Style: template.CSS(style), Host: r.Host, Search: q.search, from: from{r.Host, r.TLS == nil, p.CA != nil}}
	if ref.CheckHost(r.Host) != nil { // it would be part of commands
		v.Host, v.from.host = "", "REGISTRY"
	}
	status, name := http.StatusOK, "list"
	if q.repository != "" {
		name = "repository"
		err = p.repository(r.Context(), q, v)
		if errors.Is(err, registry.ErrNameUnknown) || errors.Is(err, registry.ErrManifestUnknown) {
			status, name, err = http.StatusNotFound, "absent", nil
		}
	} else {
		err = p.list(r.Context(), q, v)
	}
	if err != nil {
		return nil, 0, err
	}
	v.storage(p.Usage())
	v.authority(p.CA)
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, v); err != nil {
		return nil, 0, err
	}
	return out.Bytes(), status, nil
}

// list fills in the repositories that match a search, and without one or on its
// first page the releases.
func (p *Page) list(ctx context.Context, q request, v *view) error {
	v.First = q.last == ""
	if q.search == "" && v.First {
		var err error
		if v.Releases, v.Partial, err = p.releases.get(ctx, p.store); err != nil {
			return err
		}
	}
	names, next, err := search(ctx, p.store, q)
	if err != nil {
		return err
	}
	l := &look{store: p.store, budget: maxRead}
	for _, name := range names {
		row, err := l.row(ctx, name)
		if errors.Is(err, registry.ErrNameUnknown) { // deleted since
			continue
		}
		if err != nil {
			return err
		}
		v.Repositories = append(v.Repositories, row)
	}
	if next != "" {
		v.Next = q.after(next)
	}
	return nil
}

// repository fills in a repository's tags, or the one that is asked for.
func (p *Page) repository(ctx context.Context, q request, v *view) error {
	v.Repository = q.repository
	if ref.CheckRepository(q.repository) != nil {
		return registry.ErrNameUnknown
	}
	names, more, err := []string{q.tag}, false, error(nil)
	switch {
	case q.tag == "":
		names, more, err = p.store.Tags(ctx, q.repository, q.last, q.rows)
	case ref.CheckTag(q.tag) != nil:
		err = registry.ErrManifestUnknown
	}
	if err != nil {
		return err
	}
	v.First = q.last == "" && q.tag == ""
	l := &look{store: p.store, budget: maxRead}
	for _, name := range names {
		what, err := l.at(ctx, q.repository, name)
		if errors.Is(err, registry.ErrManifestUnknown) && q.tag == "" { // deleted since
			continue
		}
		if err != nil {
			return err
		}
		v.Tags = append(v.Tags, tag{Name: name, item: *what, Commands: v.from.commands(q.repository, name, what.Kind), Open: len(names) == 1})
	}
	if more {
		v.Next = q.after(names[len(names)-1])
	}
	return nil
}
