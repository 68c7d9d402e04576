package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"k0rdent-airgap/lib/ref"
)

// Kind is what a request asks for. The numbers are from distribution-spec's table of
// endpoints.
type Kind int

const (
	kindNone       Kind = iota
	Ping                // end-1: GET /v2/
	BlobRead            // end-2: GET, HEAD a blob
	ManifestRead        // end-3: GET, HEAD a manifest
	UploadStart         // end-4a, end-4c: POST, opens a session
	UploadWhole         // end-4b: POST with ?digest= and the whole blob
	UploadChunk         // end-5: PATCH
	UploadFinish        // end-6: PUT with ?digest=
	ManifestWrite       // end-7a, end-7b: PUT
	TagsList            // end-8a, end-8b: GET
	ManifestDelete      // end-9: DELETE a tag or a manifest
	BlobDelete          // end-10: DELETE
	BlobMount           // end-11: POST with ?mount=
	Referrers           // end-12a, end-12b: GET
	UploadStatus        // end-13: GET
	UploadCancel        // end-14: DELETE
	Catalog             // GET /v2/_catalog, not in the specification
	File                // GET, HEAD a file, see Handler.Beside
	kindCount
)

var kinds = [kindCount]struct {
	name     string // in metrics
	writes   bool   // such a request may change the store
	receives bool   // its body is stored
}{
	kindNone:       {name: "none"},
	Ping:           {name: "ping"},
	BlobRead:       {name: "blob-read"},
	ManifestRead:   {name: "manifest-read"},
	UploadStart:    {name: "upload-start", writes: true},
	UploadWhole:    {name: "upload-whole", writes: true, receives: true},
	UploadChunk:    {name: "upload-chunk", writes: true, receives: true},
	UploadFinish:   {name: "upload-finish", writes: true, receives: true},
	ManifestWrite:  {name: "manifest-write", writes: true, receives: true},
	TagsList:       {name: "tags-list"},
	ManifestDelete: {name: "manifest-delete", writes: true},
	BlobDelete:     {name: "blob-delete", writes: true},
	BlobMount:      {name: "blob-mount", writes: true},
	Referrers:      {name: "referrers"},
	UploadStatus:   {name: "upload-status"},
	UploadCancel:   {name: "upload-cancel", writes: true},
	Catalog:        {name: "catalog"},
	File:           {name: "file"},
}

// Writes reports whether a request of this kind may change the store.
func (k Kind) Writes() bool { return kinds[k].writes }

// String returns a kind's name in metrics.
func (k Kind) String() string { return kinds[k].name }

// noLimit is the Limit of a request without ?n=.
const noLimit = -1

// Request is a parsed request. Fields that its kind does not use are empty.
type Request struct {
	Kind         Kind
	Name         string // repository
	User         string // from Options.Allow
	Digest       Digest // of a blob or manifest; the subject for Referrers
	Tag          string // of a manifest, instead of Digest
	Upload       string // session
	Algorithm    string // for UploadStart: of the final digest
	Tags         []string
	Limit        int    // ?n=, or noLimit
	Last         string // ?last=: where the list continues
	ArtifactType string
}

// session returns the upload session that a request names or opens.
func (q *Request) session(r *http.Request) Session {
	return Session{Repository: q.Name, ID: q.Upload, Owner: q.User, Client: Network(r)}
}

// endpoint is a method of a path, and what it asks for.
type endpoint struct {
	method string
	kind   Kind
}

// The endpoints of each kind of path, in the order of an Allow header.
var (
	atRoot      = []endpoint{{"GET", Ping}, {"HEAD", Ping}}
	atCatalog   = []endpoint{{"GET", Catalog}, {"HEAD", Catalog}}
	atBlob      = []endpoint{{"GET", BlobRead}, {"HEAD", BlobRead}, {"DELETE", BlobDelete}}
	atManifest  = []endpoint{{"GET", ManifestRead}, {"HEAD", ManifestRead}, {"PUT", ManifestWrite}, {"DELETE", ManifestDelete}}
	atUploads   = []endpoint{{"POST", UploadStart}}
	atUpload    = []endpoint{{"GET", UploadStatus}, {"PATCH", UploadChunk}, {"PUT", UploadFinish}, {"DELETE", UploadCancel}}
	atTags      = []endpoint{{"GET", TagsList}, {"HEAD", TagsList}}
	atReferrers = []endpoint{{"GET", Referrers}, {"HEAD", Referrers}}
)

// Parse parses a request. Its errors are ErrEndpointUnknown,
// ErrUnsupported, ErrNameInvalid, ErrDigestInvalid, ErrTagInvalid,
// ErrUploadUnknown and ErrQueryInvalid.
func Parse(r *http.Request) (*Request, error) {
	endpoints, name, last, err := locate(r.URL.Path)
	if err != nil {
		return nil, err
	}
	req := &Request{Name: name, Limit: noLimit}
	var allow []string
	for _, e := range endpoints {
		allow = append(allow, e.method)
		if e.method == r.Method {
			req.Kind = e.kind
		}
	}
	if req.Kind == kindNone {
		list := strings.Join(allow, ", ")
		return nil, &Refusal{fmt.Errorf("%w: want %s", ErrUnsupported, list), http.Header{"Allow": {list}}}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, ErrQueryInvalid
	}
	return req, req.fill(last, query)
}

// locate splits a path from its end, because a repository name may have components
// such as "blobs". last is the digest, reference or session.
func locate(path string) (at []endpoint, name, last string, err error) {
	rest, ok := strings.CutPrefix(path, "/v2")
	if !ok || rest != "" && rest[0] != '/' {
		return nil, "", "", ErrEndpointUnknown
	}
	parts := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	n := len(parts)
	join := func(end int) string { return strings.Join(parts[:end], "/") }
	switch {
	case n == 1 && parts[0] == "":
		return atRoot, "", "", nil
	case n == 1 && parts[0] == "_catalog":
		return atCatalog, "", "", nil
	case n >= 3 && parts[n-2] == "tags" && parts[n-1] == "list":
		at, name = atTags, join(n-2)
	case n >= 3 && parts[n-2] == "manifests":
		at, name, last = atManifest, join(n-2), parts[n-1]
	case n >= 3 && parts[n-2] == "referrers":
		at, name, last = atReferrers, join(n-2), parts[n-1]
	case n >= 4 && parts[n-3] == "blobs" && parts[n-2] == "uploads":
		at, name, last = atUpload, join(n-3), parts[n-1]
		if last == "" {
			at = atUploads
		}
	case n >= 3 && parts[n-2] == "blobs" && parts[n-1] == "uploads":
		at, name = atUploads, join(n-2)
	case n >= 3 && parts[n-2] == "blobs":
		at, name, last = atBlob, join(n-2), parts[n-1]
	default:
		return nil, "", "", ErrEndpointUnknown
	}
	if ref.CheckRepository(name) != nil {
		return nil, "", "", ErrNameInvalid
	}
	return at, name, last, nil
}

// fill sets the fields that the kind uses.
func (q *Request) fill(last string, query url.Values) (err error) {
	switch q.Kind {
	case BlobRead, BlobDelete, Referrers:
		q.Digest, err = ParseDigest(last)
		q.ArtifactType = query.Get("artifactType")
		q.Last = query.Get("last")
	case ManifestRead, ManifestDelete, ManifestWrite:
		err = q.fillManifest(last, query)
	case UploadStart:
		err = q.fillStart(query)
	case UploadStatus, UploadChunk, UploadCancel:
		err = q.fillUpload(last)
	case UploadFinish:
		if err = q.fillUpload(last); err == nil {
			q.Digest, err = ParseDigest(query.Get("digest"))
		}
	case TagsList, Catalog:
		err = q.fillPage(query)
	}
	return err
}

func (q *Request) fillManifest(reference string, query url.Values) (err error) {
	if !strings.Contains(reference, ":") { // a tag has no colon, a digest has one
		if q.Tag = reference; ref.CheckTag(reference) != nil {
			return ErrTagInvalid
		}
		return nil
	}
	if q.Digest, err = ParseDigest(reference); err != nil || q.Kind != ManifestWrite {
		return err
	}
	for _, tag := range query["tag"] {
		if ref.CheckTag(tag) != nil {
			return fmt.Errorf("%w: %q", ErrTagInvalid, tag)
		}
	}
	q.Tags = query["tag"]
	return nil
}

func (q *Request) fillStart(query url.Values) (err error) {
	switch {
	case query.Has("mount"):
		// All repositories share the pool, so ?from= makes no difference.
		q.Kind = BlobMount
		q.Digest, err = ParseDigest(query.Get("mount"))
	case query.Has("digest"):
		q.Kind = UploadWhole
		q.Digest, err = ParseDigest(query.Get("digest"))
	}
	if err != nil {
		return err
	}
	if q.Algorithm = query.Get("digest-algorithm"); q.Algorithm == "" {
		q.Algorithm = "sha256"
	}
	if q.Digest != "" {
		q.Algorithm = q.Digest.Algorithm()
	}
	if ref.NewHash(q.Algorithm) == nil {
		return fmt.Errorf("%w: algorithm %q, want sha256 or sha512", ErrDigestInvalid, q.Algorithm)
	}
	return nil
}

func (q *Request) fillUpload(id string) error {
	if len(id) != uploadIDLen || strings.Trim(id, "0123456789abcdef-") != "" {
		return ErrUploadUnknown
	}
	q.Upload = id
	return nil
}

func (q *Request) fillPage(query url.Values) error {
	q.Last = query.Get("last")
	if !query.Has("n") {
		return nil
	}
	n, err := strconv.Atoi(query.Get("n"))
	if err != nil || n < 0 {
		return fmt.Errorf("%w: n is not a number of items", ErrQueryInvalid)
	}
	q.Limit = n
	return nil
}
