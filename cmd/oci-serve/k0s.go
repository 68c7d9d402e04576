package main

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k0rdent-airgap/lib/registry"
)

const (
	// maxListed bounds the names in the list of k0s files, and so its memory.
	maxListed = 1000
	// maxName is the length that file systems have for a name, in bytes.
	maxName = 255
)

// k0sPrefixes are the paths below which k0s files are served: our own, and that of
// the vendor's download site.
var k0sPrefixes = []string{"/k0s/", "/k0rdent-enterprise/"}

// k0sName matches the names that are served: k0s, or the bundle of its images,
// of a version and for a platform, and what belongs to such a file, such as its
// signature. The version is k0s's own (v1.32.8+k0s.0, v1.33.0-rc.1+k0s.0),
// where k0rdent's templates and the vendor's pages do not agree on the sign
// between its parts, "+" or "-".
var k0sName = regexp.MustCompile(`^(k0s(?:-airgap-bundle)?-v?[0-9]+\.[0-9]+\.[0-9]+(?:-[a-z]+\.[0-9]+)?)[+-](k0s\.[0-9]+(?:\.[a-z0-9]+)*(?:-[a-z0-9_]+)+(?:\.[a-z0-9]+)*)$`)

// spellings returns the names under which the file that is asked for may lie, the
// one that was asked for first; none if no such file is ever offered.
func spellings(name string) []string {
	m := k0sName.FindStringSubmatch(name)
	if m == nil || len(name) > maxName {
		return nil
	}
	plus, minus := m[1]+"+"+m[2], m[1]+"-"+m[2]
	if name == plus {
		return []string{plus, minus}
	}
	return []string{minus, plus}
}

// k0sPath returns the name that a path asks for, and whether it leads to k0s files
// at all. The path has been decoded, so "%2B" reads "+" and "%2f" a slash. Below
// /files/ other files may have such a directory.
func k0sPath(path string) (name string, ok bool) {
	for _, prefix := range k0sPrefixes {
		if name, ok = strings.CutPrefix(path, prefix); ok {
			return name, true
		}
	}
	name, ok = strings.CutPrefix(path, strings.TrimSuffix(filesPath, "/")+k0sPrefixes[0])
	if !ok || spellings(name) == nil {
		return "", false
	}
	return name, true
}

// k0sFiles serves the k0s files of a directory, as they are at the time of each
// request.
type k0sFiles struct{ dir string }

// errNoK0s is the answer for a file that does not exist.
var errNoK0s = &registry.Error{Code: "NAME_UNKNOWN", Status: http.StatusNotFound, Message: "no such file; /k0s/ lists the existing ones"}

// serve is for registry.Handler.Beside.
func (k *k0sFiles) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notRead
	}
	name, _ := k0sPath(r.URL.Path)
	root, err := os.OpenRoot(k.dir)
	if errors.Is(err, fs.ErrNotExist) && name != "" {
		return errNoK0s
	}
	if name == "" {
		return k.list(w, root, err)
	}
	if err != nil {
		return err
	}
	defer root.Close()
	f, info, err := k.open(root, name)
	if err != nil {
		return err
	}
	serveFile(w, r, f, info)
	return nil
}

// open opens a file under any of its spellings.
func (k *k0sFiles) open(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	for _, spelling := range spellings(name) {
		f, info, err := openRegular(root, spelling)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, info, err
		}
	}
	return nil, nil, errNoK0s
}

// list answers with the names of the files, a line each. err is of opening root.
func (k *k0sFiles) list(w http.ResponseWriter, root *os.Root, err error) error {
	var names []string
	if err == nil {
		defer root.Close()
		names, err = k.names(root)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text := ""
	if len(names) > 0 {
		text = strings.Join(names, "\n") + "\n"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(http.StatusOK)
	_, err = io.WriteString(w, text)
	return err
}

func (k *k0sFiles) names(root *os.Root) (names []string, err error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for err == nil && len(names) < maxListed {
		var entries []fs.DirEntry
		entries, err = dir.ReadDir(maxListed)
		for _, e := range entries {
			if e.Type().IsRegular() && k0sName.MatchString(e.Name()) {
				names = append(names, e.Name())
			}
		}
	}
	if err != io.EOF && err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}
