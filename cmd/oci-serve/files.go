package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/registry"
)

// Paths of the files that machines fetch, on the registry's own listener. On the
// one of --files-http they are below the root as well, as on the vendor's server.
const (
	filesPath = "/files/"
	sumsName  = "sha256sums.txt"
)

const (
	// maxManifest bounds the manifest of a file, in bytes.
	maxManifest = 64 << 10
	// nameRows is how many names of repositories or tags are read at a time.
	nameRows = 1000
)

// errNoFile is the answer for a file that does not exist.
var errNoFile = &registry.Error{Code: "NAME_UNKNOWN", Status: http.StatusNotFound, Message: "no such file; /files/ lists the existing ones"}

// files serves the files of --files, and those that oci-push has stored in the
// registry, each as an artifact. They are read at each request.
type files struct {
	dir   *dirFiles
	store registry.Store
	k0s   *k0sSums // whose checksums are listed as well
}

func newFiles(dir, k0sDir string, store registry.Store) *files {
	return &files{&dirFiles{dir: dir}, store, &k0sSums{k0s: k0sFiles{k0sDir}}}
}

// stored is a file that is served.
type stored struct {
	Name string // below filesPath
	Size int64
	Sum  string // SHA-256, in hexadecimal

	repository string // if it is in the registry
	digest     registry.Digest
}

// serve answers a request for a file, the list of files, or their checksums.
func (f *files) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notRead
	}
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, filesPath), "/")
	switch name {
	case "", sumsName:
		all, err := f.list(r.Context())
		if err != nil {
			return err
		}
		return listFiles(w, r, all, name == sumsName)
	}
	if ref.CheckFileName(name) != nil {
		return errNoFile
	}
	own, info, err := f.dir.open(name)
	if err == nil {
		defer own.Close()
		serveFile(w, r, own, info)
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := f.find(r.Context(), name)
	if err != nil {
		return err
	}
	c, err := f.store.Blob(r.Context(), file.repository, file.digest)
	if err != nil {
		return err
	}
	content, err := c.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", `"`+string(file.digest)+`"`)
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}

// find returns a file by its name, whatever prefix it was pushed below.
func (f *files) find(ctx context.Context, name string) (stored, error) {
	at := ref.ForFile(name)
	file, err := f.read(ctx, at.Repository, at.Tag)
	if err == nil && file.Name == name {
		return file, nil
	}
	if err != nil && !unknown(err) {
		return stored{}, err
	}
	found := stored{}
	err = f.repositories(ctx, func(repository string) error {
		if found.Name != "" || !strings.HasSuffix(repository, "/"+at.Repository) {
			return nil
		}
		file, err := f.read(ctx, repository, at.Tag)
		if err == nil && file.Name == name {
			found = file
		}
		if unknown(err) {
			return nil
		}
		return err
	})
	if err == nil && found.Name == "" {
		err = errNoFile
	}
	return found, err
}

// unknown reports whether an error means that something is not in the store.
func unknown(err error) bool {
	return errors.Is(err, registry.ErrNameUnknown) || errors.Is(err, registry.ErrManifestUnknown)
}

// fileManifest is what a manifest says about a file.
type fileManifest struct {
	ArtifactType string
	Layers       []struct {
		Digest string
		Size   int64
	}
	Annotations map[string]string
}

// read returns the file that a tag holds, or none if it holds something else.
func (f *files) read(ctx context.Context, repository, tag string) (stored, error) {
	c, err := f.store.Manifest(ctx, repository, tag, "")
	if err != nil || c.Size > maxManifest {
		return stored{}, err
	}
	content, err := c.Open()
	if err != nil {
		return stored{}, err
	}
	defer content.Close()
	raw, err := io.ReadAll(io.LimitReader(content, maxManifest))
	if err != nil {
		return stored{}, err
	}
	var m fileManifest
	if json.Unmarshal(raw, &m) != nil || m.ArtifactType != ref.FileArtifact || len(m.Layers) != 1 {
		return stored{}, nil
	}
	name := m.Annotations[ref.FileNameKey]
	digest, err := ref.ParseDigest(m.Layers[0].Digest)
	if err != nil || digest.Algorithm() != "sha256" || ref.CheckFileName(name) != nil {
		return stored{}, nil
	}
	_, sum, _ := strings.Cut(string(digest), ":")
	return stored{Name: name, Size: m.Layers[0].Size, Sum: sum, repository: repository, digest: digest}, nil
}

// list returns all files, of each source at most maxListed.
func (f *files) list(ctx context.Context) ([]stored, error) {
	all, err := f.dir.list(ctx)
	if err != nil {
		return nil, err
	}
	k0s, err := f.k0s.list(ctx)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	all = slices.DeleteFunc(append(k0s, all...), func(one stored) bool {
		twice := seen[one.Name]
		seen[one.Name] = true
		return twice
	})
	pushed, err := f.pushed(ctx, seen)
	return append(all, pushed...), err
}

// pushed returns the files in the registry, but for those seen.
func (f *files) pushed(ctx context.Context, seen map[string]bool) (all []stored, err error) {
	err = f.repositories(ctx, func(repository string) error {
		if !strings.Contains("/"+repository+"/", "/"+ref.FilesRepository+"/") {
			return nil
		}
		for last, more := "", true; more && len(all) < maxListed; {
			var tags []string
			var err error
			if tags, more, err = f.store.Tags(ctx, repository, last, nameRows); err != nil || len(tags) == 0 {
				return err
			}
			for _, last = range tags {
				file, err := f.read(ctx, repository, last)
				if err != nil && !unknown(err) {
					return err
				}
				if file.Name != "" && !seen[file.Name] && len(all) < maxListed {
					seen[file.Name], all = true, append(all, file)
				}
			}
		}
		return nil
	})
	return all, err
}

// repositories calls do with the name of each repository.
func (f *files) repositories(ctx context.Context, do func(name string) error) error {
	for last, more := "", true; more; {
		var names []string
		var err error
		if names, more, err = f.store.Repositories(ctx, last, nameRows); err != nil || len(names) == 0 {
			return err
		}
		for _, last = range names {
			if err := do(last); err != nil {
				return err
			}
		}
	}
	return nil
}
