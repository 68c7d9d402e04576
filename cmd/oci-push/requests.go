package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// This file has one method for each request of the distribution spec that a
// push needs; each is tried again by its caller, which knows whether its body
// can be sent a second time.

// do sends one request. The caller closes the answer's body with drain.
func (r *registry) do(ctx context.Context, repository, method string, u *url.URL, body io.Reader, size int64, header map[string]string) (*http.Response, error) {
	c, err := r.client(ctx, repository)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := c.Do(req)
	// A url.Error repeats the whole address; the caller names the item.
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return resp, err
}

// drain lets the connection be used again.
func drain(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, maxErrorBody)
	resp.Body.Close()
}

// hasBlob asks whether a repository has a blob (end-2 of the spec).
func (r *registry) hasBlob(ctx context.Context, repository string, d v1.Hash) (bool, error) {
	resp, err := r.do(ctx, repository, http.MethodHead, r.url(repository, "blobs", d.String()), nil, 0, nil)
	if err != nil {
		return false, err
	}
	defer drain(resp)
	if resp.StatusCode == http.StatusNotFound {
		return false, nil
	}
	return true, checkStatus(resp, http.StatusOK)
}

// getBlob opens a blob of the registry (end-2) at an offset.
func (r *registry) getBlob(ctx context.Context, repository string, d v1.Hash, offset int64) (io.ReadCloser, error) {
	var header map[string]string
	if offset > 0 {
		header = map[string]string{"Range": fmt.Sprintf("bytes=%d-", offset)}
	}
	resp, err := r.do(ctx, repository, http.MethodGet, r.url(repository, "blobs", d.String()), nil, 0, header)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		defer resp.Body.Close()
		return nil, checkStatus(resp, http.StatusOK)
	}
	if resp.StatusCode == http.StatusOK { // the registry knows no ranges
		if _, err := io.CopyN(io.Discard, resp.Body, offset); err != nil {
			resp.Body.Close()
			return nil, err
		}
	}
	return resp.Body, nil
}

// startUpload opens an upload session (end-4a) and gives its address. With a
// repository to mount from it asks for the blob to be linked instead (end-11);
// the address is then nil if the registry did so.
func (r *registry) startUpload(ctx context.Context, repository string, d v1.Hash, from string) (*url.URL, error) {
	u := r.url(repository, "blobs", "uploads/")
	want := []int{http.StatusAccepted}
	if from != "" {
		u.RawQuery = url.Values{"mount": {d.String()}, "from": {from}}.Encode()
		want = append(want, http.StatusCreated)
	}
	resp, err := r.do(ctx, repository, http.MethodPost, u, nil, 0, nil)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	if err := checkStatus(resp, want...); err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusCreated {
		return nil, nil
	}
	return location(resp)
}

// location gives where the upload goes on; it may be relative, and may change
// with every answer.
func location(resp *http.Response) (*url.URL, error) {
	u, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, fmt.Errorf("registry gave no usable upload location: %q", resp.Header.Get("Location"))
	}
	return u, nil
}

// patchUpload sends the bytes of a blob from offset to its end (end-5).
func (r *registry) patchUpload(ctx context.Context, repository string, at *url.URL, b body, offset, size int64) (*url.URL, error) {
	header := map[string]string{"Content-Type": "application/octet-stream"}
	if offset > 0 { // some registries take a range only when they need one
		header["Content-Range"] = fmt.Sprintf("%d-%d", offset, size-1)
	}
	resp, err := r.send(ctx, repository, http.MethodPatch, at, b, size-offset, header)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	if err := checkStatus(resp, http.StatusAccepted, http.StatusNoContent); err != nil {
		return nil, err
	}
	return location(resp)
}

// finishUpload ends a session with the blob's digest (end-6), sending the
// whole blob with it if b is not nil.
func (r *registry) finishUpload(ctx context.Context, repository string, at *url.URL, d v1.Hash, b body, size int64) error {
	u := *at
	q := u.Query()
	q.Set("digest", d.String())
	u.RawQuery = q.Encode()
	header := map[string]string{"Content-Type": "application/octet-stream"}
	resp, err := r.send(ctx, repository, http.MethodPut, &u, b, size, header)
	if err != nil {
		return err
	}
	defer drain(resp)
	return checkStatus(resp, http.StatusCreated, http.StatusNoContent)
}

// send is do with a body that is let go for certain before it returns.
func (r *registry) send(ctx context.Context, repository, method string, u *url.URL, b body, size int64, header map[string]string) (*http.Response, error) {
	if b == nil || size == 0 { // a body of unknown length would be sent in chunks
		return r.do(ctx, repository, method, u, http.NoBody, 0, header)
	}
	held := &holder{body: b}
	defer held.letGo()
	resp, err := r.do(ctx, repository, method, u, held, size, header)
	if e := held.sourceError(); e != nil {
		if resp != nil {
			drain(resp)
		}
		return nil, &sourceError{e}
	}
	return resp, err
}

// uploadOffset asks how many bytes of a session the registry has (end-13).
func (r *registry) uploadOffset(ctx context.Context, repository string, at *url.URL) (int64, *url.URL, error) {
	resp, err := r.do(ctx, repository, http.MethodGet, at, nil, 0, nil)
	if err != nil {
		return 0, nil, err
	}
	defer drain(resp)
	if err := checkStatus(resp, http.StatusNoContent, http.StatusOK); err != nil {
		return 0, nil, err
	}
	if u, err := location(resp); err == nil {
		at = u
	}
	// "0-N" counts inclusively, so nothing at all reads "0-0" like one byte
	// does; one byte sent twice is what a registry then refuses, and we ask again.
	_, last, ok := strings.Cut(resp.Header.Get("Range"), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !ok || err != nil || n < 0 {
		return 0, at, nil
	}
	if n == 0 {
		return 0, at, nil
	}
	return n + 1, at, nil
}

// cancelUpload ends a session that will not be finished; registries need not
// know how, so the answer does not matter.
func (r *registry) cancelUpload(ctx context.Context, repository string, at *url.URL) {
	if resp, err := r.do(ctx, repository, http.MethodDelete, at, nil, 0, nil); err == nil {
		drain(resp)
	}
}

// manifestTypes is what a HEAD accepts; without it registries may convert.
var manifestTypes = strings.Join([]string{
	string(types.OCIImageIndex), string(types.OCIManifestSchema1),
	string(types.DockerManifestList), string(types.DockerManifestSchema2), "*/*",
}, ", ")

// manifestDigest gives the digest that a tag or digest stands for at the
// registry (end-3), or "" if it has none.
func (r *registry) manifestDigest(ctx context.Context, repository, reference string) (string, error) {
	resp, err := r.do(ctx, repository, http.MethodHead, r.url(repository, "manifests", reference), nil, 0, map[string]string{"Accept": manifestTypes})
	if err != nil {
		return "", err
	}
	defer drain(resp)
	if resp.StatusCode == http.StatusNotFound {
		return "", nil
	}
	if err := checkStatus(resp, http.StatusOK); err != nil {
		return "", err
	}
	return resp.Header.Get("Docker-Content-Digest"), nil
}

// putManifest pushes a manifest's raw bytes under a tag or digest (end-7).
func (r *registry) putManifest(ctx context.Context, repository, reference, mediaType string, raw []byte) error {
	resp, err := r.do(ctx, repository, http.MethodPut, r.url(repository, "manifests", reference),
		bytes.NewReader(raw), int64(len(raw)), map[string]string{"Content-Type": mediaType})
	if err != nil {
		return err
	}
	defer drain(resp)
	if err := checkStatus(resp, http.StatusCreated, http.StatusOK, http.StatusAccepted); err != nil {
		return err
	}
	want, got := fmt.Sprintf("sha256:%x", sha256.Sum256(raw)), resp.Header.Get("Docker-Content-Digest")
	if strings.HasPrefix(got, "sha256:") && got != want {
		return fmt.Errorf("registry changed it: stored %s, sent %s", clip(got), want)
	}
	return nil
}
