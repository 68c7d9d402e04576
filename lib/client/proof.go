package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/oci"
)

// This file proves that a blob or manifest is in the registry. A status alone
// proves nothing, since portals, proxies and web servers answer 200 to
// everything. A matching digest or size does, and if a registry sends neither,
// the content is read.

// HasBlob reports whether a repository has a blob of that size (end-2).
func (r *Registry) HasBlob(ctx context.Context, repository string, d v1.Hash, size int64) (there bool, err error) {
	proved := false
	err = r.retry(ctx, func() error {
		resp, err := r.do(ctx, repository, request{method: http.MethodHead, url: r.url(repository, "blobs", d.String())})
		if err != nil {
			return err
		}
		defer drain(resp)
		if resp.StatusCode != http.StatusOK {
			return checkStatus(resp, http.StatusOK)
		}
		proved, err = fits(resp, d, size)
		return err
	})
	if err == nil && !proved {
		err = r.readBlob(ctx, repository, d, size)
	}
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// fits reports whether the headers of an answer prove that it is about a blob.
// It returns an error if they describe another one.
func fits(resp *http.Response, d v1.Hash, size int64) (proved bool, err error) {
	stated := resp.Header.Get("Docker-Content-Digest")
	switch {
	case isPage(resp) && stated == "" && resp.ContentLength != size:
		return false, notRegistry(resp)
	case resp.ContentLength >= 0 && resp.ContentLength != size:
		return false, fmt.Errorf("registry has %d bytes under this digest, not %d bytes", resp.ContentLength, size)
	case differs(stated, d):
		return false, fmt.Errorf("registry has %s under this digest", clip(stated))
	}
	return resp.ContentLength == size && size > 0 || stated == d.String(), nil
}

// differs reports whether a stated digest contradicts d. A digest of another
// algorithm does not.
func differs(stated string, d v1.Hash) bool {
	got, err := v1.NewHash(stated)
	return err == nil && got.Algorithm == d.Algorithm && got != d
}

// readBlob reads a blob to its end and compares its digest.
func (r *Registry) readBlob(ctx context.Context, repository string, d v1.Hash, size int64) error {
	b := r.Blob(ctx, repository, d)
	defer b.Close()
	_, err := io.Copy(io.Discard, oci.Verify(b, d, size))
	return err
}

// stored proves that the registry has stored the blob, by its answer or by
// another request.
func (u *Upload) stored(ctx context.Context, answer *http.Response) error {
	stated := answer.Header.Get("Docker-Content-Digest")
	if differs(stated, u.digest) {
		return fmt.Errorf("registry stored %s instead", clip(stated))
	}
	if stated != u.digest.String() && !strings.Contains(answer.Header.Get("Location"), u.digest.Hex) {
		there, err := u.reg.HasBlob(ctx, u.repository, u.digest, u.size)
		if err != nil {
			return err
		}
		if !there {
			return errors.New("registry accepted it, but does not have it")
		}
	}
	u.reg.wrote.Store(true)
	return nil
}

// published proves that the registry has stored a manifest under a reference,
// by its answer or by reading it.
func (r *Registry) published(ctx context.Context, repository, reference string, raw []byte, answer http.Header) error {
	d, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	stated := answer.Get("Docker-Content-Digest")
	switch {
	case differs(stated, d):
		return fmt.Errorf("registry changed it: stored %s, sent %s", clip(stated), d)
	case stated == d.String():
		return nil
	}
	got, err := r.getManifest(ctx, repository, reference)
	switch {
	case errors.Is(err, ErrNotFound):
		return errors.New("registry accepted it, but does not have it")
	case err == nil && !bytes.Equal(got.raw, raw):
		return fmt.Errorf("registry accepted it, but has %d other bytes", len(got.raw))
	}
	return err
}

// checkManifest returns an error if raw cannot be a manifest, so that not every
// answer of a server passes for one.
func checkManifest(raw []byte) error {
	var m struct {
		SchemaVersion int `json:"schemaVersion"`
	}
	if err := json.Unmarshal(raw, &m); err != nil || m.SchemaVersion == 0 {
		return markf(errPage, nil, "registry answered with %d bytes that are not a manifest", len(raw))
	}
	return nil
}
