package main

import (
	"os"
	"slices"
	"time"
)

// watchEvery is how often files in use are checked for changes.
const watchEvery = time.Second

// watch detects that one of several files was replaced or written to.
type watch struct {
	files  []string
	known  []os.FileInfo // nil for a missing one
	looked time.Time
}

// sameFile reports whether a file is as it was.
func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode() && os.SameFile(a, b)
}

// changed reports whether the files have changed since it last returned true. The
// first call returns true, and a call within watchEvery of the last one false.
func (w *watch) changed(now time.Time) bool {
	if now.Sub(w.looked) < watchEvery {
		return false
	}
	w.looked = now
	var infos []os.FileInfo
	for _, file := range w.files {
		info, _ := os.Stat(file) // nil with an error
		infos = append(infos, info)
	}
	if slices.EqualFunc(infos, w.known, sameFile) {
		return false
	}
	w.known = infos
	return true
}
