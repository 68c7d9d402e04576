package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/record"
)

const (
	maxManifest = 4 << 20  // bytes; what a registry must take by the distribution spec
	maxList     = 16 << 20 // bytes of one page of a list
	maxPages    = 10_000   // of one list
)

// copyAll copies everything that the catalog of another registry lists below
// its prefix.
func (p *pusher) copyAll(ctx context.Context, from *registry) error {
	found := false
	err := from.list(ctx, "", "/v2/_catalog", "repositories", func(repository string) error {
		name, below := strings.CutPrefix(repository, from.repository(""))
		if !below || name == "" {
			return nil
		}
		return from.list(ctx, repository, "/v2/"+repository+"/tags/list", "tags", func(tag string) error {
			found = true
			return p.copy(ctx, from, record.Image{Repository: name, Tag: tag})
		})
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return cli.Hint(fmt.Errorf("registry %s: list: %w", from.host, err), "a registry that does not list what it has needs records on stdin, and - as the operand")
	case !found:
		return fmt.Errorf("registry %s: nothing to copy", from.host)
	}
	return nil
}

// copySelected copies what the records on stdin name.
func (p *pusher) copySelected(ctx context.Context, from *registry, stdin io.Reader, out *record.Writer) error {
	found := false
	for line, err := range record.Read(stdin) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
		if line.Kind != (record.Image{}).Kind() {
			if err := out.Pass(line); err != nil {
				return err
			}
			continue
		}
		var want record.Image
		if err := line.Decode(&want); err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
		found = true
		if err := p.copy(ctx, from, record.Image{Repository: want.Repository, Tag: want.Tag, Digest: want.Digest}); err != nil {
			return err
		}
	}
	if !found {
		return errNoImages
	}
	return nil
}

// copy puts one image of another registry under way. The error ends the run.
func (p *pusher) copy(ctx context.Context, from *registry, want record.Image) error {
	repository := from.repository(want.Repository)
	var img *oci.Image
	err := from.retry(ctx, func() (err error) {
		img, err = from.image(ctx, repository, want.Tag)
		return err
	})
	if ctx.Err() != nil || errors.Is(err, errUnreachable) {
		return errors.Join(context.Cause(ctx), err)
	}
	if err == nil && want.Digest != "" && want.Digest != img.Descriptor.Digest.String() {
		err = fmt.Errorf("%s has digest %s, not %s", from.host, img.Descriptor.Digest, want.Digest)
	}
	if err != nil {
		want.Registry, want.Reference = p.reg.names(want)
		p.results.fail(want, err)
		return nil
	}
	rec := img.Record("", "")
	rec.Repository, rec.Tag = want.Repository, want.Tag
	return p.image(ctx, func(d v1.Hash) (body, int64) {
		return &remoteBody{ctx: ctx, reg: from, from: repository, digest: d}, 0
	}, img, want.Repository, rec)
}

// image reads the manifests of an image.
func (r *registry) image(ctx context.Context, repository, tag string) (*oci.Image, error) {
	root, raw, err := r.getManifest(ctx, repository, tag)
	if err != nil {
		return nil, err
	}
	return oci.Follow(root, func(d v1.Descriptor, manifest bool) ([]byte, error) {
		if d.Digest == root.Digest {
			return raw, nil
		}
		var raw []byte
		var err error
		if manifest {
			_, raw, err = r.getManifest(ctx, repository, d.Digest.String())
		} else {
			raw, err = r.getSmall(ctx, repository, d)
		}
		if status(err) == http.StatusNotFound {
			return nil, nil
		}
		return raw, err
	})
}

// getManifest gets a manifest by tag or digest (end-3).
func (r *registry) getManifest(ctx context.Context, repository, reference string) (v1.Descriptor, []byte, error) {
	resp, err := r.do(ctx, repository, http.MethodGet, r.url(repository, "manifests", reference), nil, 0, map[string]string{"Accept": manifestTypes})
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	defer drain(resp)
	if err := checkStatus(resp, http.StatusOK); err != nil {
		return v1.Descriptor{}, nil, err
	}
	raw, err := readCapped(resp.Body, maxManifest)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	d := v1.Descriptor{MediaType: types.MediaType(mediaType), Size: int64(len(raw))}
	if want, err := v1.NewHash(reference); err == nil {
		d.Digest = want // the bytes are compared with it by who asked
		return d, raw, nil
	}
	d.Digest, _, err = v1.SHA256(strings.NewReader(string(raw)))
	return d, raw, err
}

// getSmall gets a config.
func (r *registry) getSmall(ctx context.Context, repository string, d v1.Descriptor) ([]byte, error) {
	in, err := r.getBlob(ctx, repository, d.Digest, 0)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return readCapped(in, maxManifest)
}

// readCapped reads all of r, or fails if that is more than most bytes.
func readCapped(r io.Reader, most int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("registry answered more than %d bytes", most)
	}
	return raw, err
}

// nextPage finds the address in a Link header with rel="next" (RFC 8288).
var nextPage = regexp.MustCompile(`<([^>]*)>\s*;\s*rel="?next"?`)

// list gives each name in a list of the registry, page by page (end-8).
func (r *registry) list(ctx context.Context, repository, path, field string, each func(string) error) error {
	u := &url.URL{Scheme: r.host.Scheme(), Host: r.host.RegistryStr(), Path: path, RawQuery: "n=1000"}
	for range maxPages {
		var names []string
		var next *url.URL
		err := r.retry(ctx, func() (err error) {
			names, next, err = r.page(ctx, repository, u, field)
			return err
		})
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := each(name); err != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		u = next
	}
	return fmt.Errorf("more than %d pages", maxPages)
}

func (r *registry) page(ctx context.Context, repository string, u *url.URL, field string) (names []string, next *url.URL, err error) {
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
		return nil, nil, fmt.Errorf("list: %w", err)
	}
	if list := answer[field]; list != nil {
		if err := json.Unmarshal(list, &names); err != nil {
			return nil, nil, fmt.Errorf("list: %w", err)
		}
	}
	if m := nextPage.FindStringSubmatch(resp.Header.Get("Link")); m != nil {
		next, err = u.Parse(m[1])
		if err == nil && next.Host != u.Host {
			err = fmt.Errorf("list goes on at another host, %s", next.Host)
		}
	}
	return names, next, err
}
