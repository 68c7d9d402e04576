package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
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
	k0sPath   = "/k0s/"
	// vendorPath is where the vendor's download site has k0s.
	vendorPath = "/k0rdent-enterprise/"

	sumsName = "sha256sums.txt"
)

// files serves the k0s files, the files of --files, and those that oci-push has
// stored in the registry. They are read at each request; if two have a name, the
// first is served.
type files struct {
	folders []*folder
	pushed  pushedFiles
}

func newFiles(dir, k0sDir string, store registry.Store) *files {
	return &files{[]*folder{k0sFolder(k0sDir), filesFolder(dir)}, pushedFiles{store}}
}

// file is a file that is listed.
type file struct {
	Name string // below filesPath
	Size int64
	Sum  string // SHA-256, in hexadecimal
}

// fileName returns the name of the file that a path asks for. The path has been
// decoded, so "%2B" reads "+" and "%2f" a slash.
func fileName(path string) string {
	if k0s, ok := strings.CutPrefix(path, vendorPath); ok && (k0s == "" || spellings(k0s) != nil) {
		return k0sDir + k0s
	}
	return strings.TrimPrefix(strings.TrimPrefix(path, filesPath), "/")
}

// serve answers a request for a file, the list of files, or their checksums; it is
// for [registry.Handler.Beside].
func (f *files) serve(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notRead
	}
	switch name := fileName(r.URL.Path); name {
	case "", sumsName:
		all, err := f.list(r.Context())
		if err != nil {
			return err
		}
		return listFiles(w, r, all, name == sumsName)
	case k0sDir:
		return f.listK0s(w, r)
	default:
		return f.serveFile(w, r, name)
	}
}

// serveFile sends a file. [http.ServeContent] must have the file of the disk itself,
// without a type around it, for sendfile.
func (f *files) serveFile(w http.ResponseWriter, r *http.Request, name string) error {
	if ref.CheckFileName(name) != nil {
		return noFile(name)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	for _, d := range f.folders {
		content, info, err := d.open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		defer content.Close()
		// The version of a file that was replaced within a second differs as well.
		w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
		http.ServeContent(w, r, "", info.ModTime(), content)
		return nil
	}
	content, digest, err := f.pushed.open(r.Context(), name)
	if err != nil {
		return err
	}
	defer content.Close()
	w.Header().Set("ETag", `"`+string(digest)+`"`)
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}

// noFile is the answer for a file that does not exist.
func noFile(name string) error {
	list := filesPath
	if strings.HasPrefix(name, k0sDir) {
		list = k0sPath
	}
	return &registry.Error{Code: "NAME_UNKNOWN", Status: http.StatusNotFound, Message: "no such file; " + list + " lists the existing ones"}
}

// list returns all files in the order of their names, of each source at most
// maxListed.
func (f *files) list(ctx context.Context) (all []file, err error) {
	for _, d := range f.folders {
		own, err := d.list(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, own...)
	}
	pushed, err := f.pushed.list(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all, pushed...)
	slices.SortStableFunc(all, func(a, b file) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b file) bool { return a.Name == b.Name }), nil
}

// listK0s answers with the names of the k0s files, a line each.
func (f *files) listK0s(w http.ResponseWriter, r *http.Request) error {
	var text strings.Builder
	err := f.folders[0].each(r.Context(), func(name string, _ *os.File, _ fs.FileInfo) error {
		text.WriteString(strings.TrimPrefix(name, k0sDir) + "\n")
		return nil
	})
	if err != nil {
		return err
	}
	sendText(w, r, "text/plain; charset=utf-8", text.String())
	return nil
}
