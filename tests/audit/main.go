// Command audit reads everything that a registry has published and recomputes every digest,
// without using the tools' own code.
//
//	audit http://127.0.0.1:5000     over HTTP
//	audit /var/lib/k0rdentd/registry    the directory, without its server
//
// It prints a line "repository tag digest" for every tag, sorted, and exits 1
// after a line on stderr for each blob that is damaged and each that a tag
// leads to and that is not there. With -sparse an index may lack images.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	sparse := flag.Bool("sparse", false, "an index may lack images")
	flag.Parse()
	var src source = directory(flag.Arg(0))
	if strings.HasPrefix(flag.Arg(0), "http://") {
		src = server(flag.Arg(0))
	}
	a := auditor{src: src, sparse: *sparse, seen: make(map[string]bool)}
	if err := a.run(); err != nil {
		fmt.Fprintln(os.Stderr, "audit:", err)
		os.Exit(1)
	}
	if a.bad > 0 {
		os.Exit(1)
	}
}

// source is where a registry's content is read.
type source interface {
	// tags lists what is published.
	tags() ([]tag, error)
	// open returns a manifest or blob, or errAbsent if it does not exist.
	open(repository, digest string, manifest bool) (io.ReadCloser, error)
}

type tag struct{ repository, name, digest string }

var errAbsent = errors.New("absent")

type auditor struct {
	src    source
	sparse bool
	seen   map[string]bool // repository and digest
	bad    int
}

func (a *auditor) run() error {
	tags, err := a.src.tags()
	if err != nil {
		return err
	}
	slices.SortFunc(tags, func(x, y tag) int { return strings.Compare(x.repository+" "+x.name, y.repository+" "+y.name) })
	for _, t := range tags {
		fmt.Println(t.repository, t.name, t.digest)
		if err := a.manifest(t.repository, t.digest, t.name, false); err != nil {
			return err
		}
	}
	return nil
}

// descriptor is a child as described in a manifest or index.
type descriptor struct{ MediaType, Digest string }

func (a *auditor) manifest(repository, digest, from string, mayLack bool) error {
	text, err := a.check(repository, digest, from, true, mayLack)
	if err != nil || text == nil {
		return err
	}
	var m struct {
		Config            *descriptor
		Layers, Manifests []descriptor
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%s@%s: %w", repository, digest, err)
	}
	for _, child := range m.Manifests {
		if err := a.manifest(repository, child.Digest, digest, a.sparse); err != nil {
			return err
		}
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, blob := range m.Layers {
		if _, err := a.check(repository, blob.Digest, digest, false, false); err != nil {
			return err
		}
	}
	return nil
}

// check reads one manifest or blob, unless it has been read before, and returns the bytes of
// a manifest.
func (a *auditor) check(repository, digest, from string, manifest, mayLack bool) ([]byte, error) {
	if a.seen[repository+digest] {
		return nil, nil
	}
	a.seen[repository+digest] = true
	r, err := a.src.open(repository, digest, manifest)
	if errors.Is(err, errAbsent) {
		if !mayLack {
			a.tell("%s@%s: absent, named by %s", repository, digest, from)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var text strings.Builder
	h := sha256.New()
	w := io.Writer(h)
	if manifest {
		w = io.MultiWriter(h, &text)
	}
	if _, err := io.Copy(w, r); err != nil {
		return nil, err
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != digest {
		a.tell("%s@%s: damaged, digest is %s, named by %s", repository, digest, got, from)
		return nil, nil
	}
	return []byte(text.String()), nil
}

func (a *auditor) tell(format string, args ...any) {
	a.bad++
	fmt.Fprintf(os.Stderr, "audit: "+format+"\n", args...)
}

// directory is a storage directory of oci-serve: an OCI layout per repository.
type directory string

func (d directory) tags() ([]tag, error) {
	var tags []tag
	root := filepath.Join(string(d), "repositories")
	return tags, filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.Name() != "index.json" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var index struct {
			Manifests []struct {
				Digest      string
				Annotations map[string]string
			}
		}
		if err := json.Unmarshal(text, &index); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		repository, err := filepath.Rel(root, filepath.Dir(filepath.Dir(path)))
		for _, m := range index.Manifests {
			if name := m.Annotations["org.opencontainers.image.ref.name"]; name != "" {
				tags = append(tags, tag{repository, name, m.Digest})
			}
		}
		return err
	})
}

func (d directory) open(repository, digest string, _ bool) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(string(d), "repositories", repository, "_layout/blobs", strings.Replace(digest, ":", "/", 1)))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errAbsent
	}
	return f, err
}

// server is the base URL of a registry.
type server string

func (s server) get(path string) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodGet, string(s)+path, nil)
	if err != nil {
		return nil, err
	}
	for _, t := range []string{"index", "manifest"} {
		req.Header.Add("Accept", "application/vnd.oci.image."+t+".v1+json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNotFound {
		resp.Body.Close()
		return nil, errAbsent
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s: %s", path, resp.Status)
	}
	return resp, nil
}

func (s server) json(path string, v any) error {
	resp, err := s.get(path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(v)
}

func (s server) tags() ([]tag, error) {
	var catalog struct{ Repositories []string }
	if err := s.json("/v2/_catalog?n=1000", &catalog); err != nil {
		return nil, err
	}
	var tags []tag
	for _, repository := range catalog.Repositories {
		var list struct{ Tags []string }
		if err := s.json("/v2/"+repository+"/tags/list", &list); err != nil {
			return nil, err
		}
		for _, name := range list.Tags {
			digest, err := s.digest("/v2/" + repository + "/manifests/" + name)
			if err != nil {
				return nil, err
			}
			tags = append(tags, tag{repository, name, digest})
		}
	}
	return tags, nil
}

// digest returns the digest of the content under a tag.
func (s server) digest(path string) (string, error) {
	resp, err := s.get(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	defer resp.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

func (s server) open(repository, digest string, manifest bool) (io.ReadCloser, error) {
	kind := "blobs"
	if manifest {
		kind = "manifests"
	}
	resp, err := s.get("/v2/" + repository + "/" + kind + "/" + digest)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
