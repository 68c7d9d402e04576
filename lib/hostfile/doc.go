// Package hostfile writes files on a host atomically: readers of a path see the
// complete old content or the complete new content, even after a kill or a
// power cut.
//
// A file is written under another name, synced, and renamed. A file that would
// not change is not written, since services watch some of these files and
// restart when they are replaced, even by the same bytes. A killed run leaves
// at most one file behind, whose name starts with a dot and ends with ".new";
// the next run that writes the same path removes it.
//
// It needs Linux; elsewhere Create returns an error.
package hostfile
