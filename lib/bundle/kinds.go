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

// Types of GNU tar that archive/tar has no names for.
const (
	typeLabel  = 'V' // the label of the volume
	typeDump   = 'D' // a directory, with the names of what is in it
	typeVolume = 'M' // a file that begins in another volume
)

// regular reports whether a header is that of a plain file. A contiguous file
// differs in nothing but where some file systems of 1988 would have put it.
func regular(h *tar.Header) bool { return h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeCont }

// meaningless reports whether a header stands for nothing: attributes for all
// entries, the volume's label, or a file that tar was given twice and which it
// has therefore linked to itself.
func meaningless(h *tar.Header) bool {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader, typeLabel:
		return true
	case tar.TypeLink:
		return path.Clean(h.Name) == path.Clean(h.Linkname)
	}
	return false
}

// sparse reports whether a header is that of a file with holes: it may claim
// exabytes in a few bytes, and no tool that makes bundles writes one.
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

// What people do about entries that are refused.
const (
	hardLink    = "a hard link"
	symlink     = "a symbolic link"
	sparseFile  = "a sparse file"
	otherVolume = "a part of a file whose beginning is in another volume"
)

var remedies = map[string]string{
	hardLink:    "make the tar with --hard-dereference, or copy the directory with cp -r first",
	symlink:     "make the tar with --dereference, or copy the directory with cp -rL first",
	sparseFile:  "make the tar without --sparse; with bsdtar, add --no-read-sparse",
	otherVolume: "make one tar, not volumes of it",
}

// kind names the types of tar entries that are refused.
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
