package bundle

import (
	"archive/tar"
	"path"
	"strings"
)

// check returns an entry's clean name, or an ErrEntry.
func (w *walker) check(h *tar.Header) (string, error) {
	name, err := cleanName(h.Name)
	switch {
	case err != nil:
		return "", err
	case h.Typeflag == tar.TypeDir, h.Typeflag == typeDump:
		return name, nil
	case sparse(h):
		return "", entryError(h.Name, remedies[sparseFile], sparseFile)
	case !regular(h):
		return "", entryError(h.Name, remedies[kind(h.Typeflag)], "%s, where only files and directories may be", kind(h.Typeflag))
	case name == "." || strings.HasSuffix(h.Name, "/"):
		return "", entryError(h.Name, "", "a file with a directory's name")
	}
	return name, nil
}

// Types of GNU tar that archive/tar does not name.
const (
	typeLabel  = 'V' // the label of the volume
	typeDump   = 'D' // a directory, with the names of its files
	typeVolume = 'M' // a file continued from another volume
)

// regular reports whether a header is a plain file's. A contiguous file differs
// only in its placement on some file systems of 1988.
func regular(h *tar.Header) bool { return h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeCont }

// meaningless reports whether a header can be ignored: global attributes, a
// volume label, or a file that tar was given twice and therefore linked to
// itself.
func meaningless(h *tar.Header) bool {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader, typeLabel:
		return true
	case tar.TypeLink:
		return path.Clean(h.Name) == path.Clean(h.Linkname)
	}
	return false
}

// sparse reports whether a header is a sparse file's: it can claim exabytes in
// a few bytes, and no tool that makes bundles writes one.
func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// Remedies for entries that are refused.
const (
	hardLink    = "a hard link"
	symlink     = "a symbolic link"
	sparseFile  = "a sparse file"
	otherVolume = "a file continued from another volume"
)

var remedies = map[string]string{
	hardLink:    "make the tar with --hard-dereference, or copy the directory with cp -r first",
	symlink:     "make the tar with --dereference, or copy the directory with cp -rL first",
	sparseFile:  "make the tar without --sparse; with bsdtar, add --no-read-sparse",
	otherVolume: "make a single tar, not a multi-volume one",
}

// kind returns the name of a refused type of tar entry.
func kind(flag byte) string {
	switch flag {
	case tar.TypeLink:
		return hardLink
	case tar.TypeSymlink:
		return symlink
	case typeVolume:
		return otherVolume
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	case tar.TypeFifo:
		return "a named pipe"
	}
	return "an entry of type " + string(rune(flag))
}
