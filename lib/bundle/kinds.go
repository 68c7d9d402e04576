package bundle

import (
	"archive/tar"
	"io/fs"
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
		return "", entryError(h.Name, "make the tar without --sparse; with bsdtar, add --no-read-sparse", "a sparse file")
	case !regular(h):
		return "", kindOf(h.Typeflag).refused(h.Name)
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

// A kind is a kind of entry that is refused: what it is, and what to do about it.
type kind struct{ what, remedy string }

var (
	hardLink  = kind{"a hard link", "make the tar with --hard-dereference, or copy the directory with cp -r first"}
	symlink   = kind{"a symbolic link", "make the tar with --dereference, or copy the directory with cp -rL first"}
	volume    = kind{"a file continued from another volume", "make a single tar, not a multi-volume one"}
	device    = kind{what: "a device"}
	namedPipe = kind{what: "a named pipe"}
)

func (k kind) refused(name string) error {
	return entryError(name, k.remedy, "%s, where only files and directories may be", k.what)
}

// kindOf returns the kind of a tar entry.
func kindOf(flag byte) kind {
	switch flag {
	case tar.TypeLink:
		return hardLink
	case tar.TypeSymlink:
		return symlink
	case typeVolume:
		return volume
	case tar.TypeChar, tar.TypeBlock:
		return device
	case tar.TypeFifo:
		return namedPipe
	}
	return kind{what: "an entry of type " + string(rune(flag))}
}

// modeKind returns the kind of a directory's entry.
func modeKind(m fs.FileMode) kind {
	switch {
	case m&fs.ModeSymlink != 0:
		return symlink
	case m&fs.ModeDevice != 0:
		return device
	case m&fs.ModeNamedPipe != 0:
		return namedPipe
	case m&fs.ModeSocket != 0:
		return kind{what: "a socket"}
	}
	return kind{what: "an irregular file"}
}
