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
	stamps []stamp
	looked time.Time
}

// stamp changes when a file does. A missing file has the zero stamp.
type stamp struct {
	modified time.Time
	size     int64
	mode     os.FileMode
	info     os.FileInfo
}

func (s stamp) same(other stamp) bool {
	if s.info == nil || other.info == nil {
		return s.info == nil && other.info == nil
	}
	return s.modified.Equal(other.modified) && s.size == other.size && s.mode == other.mode && os.SameFile(s.info, other.info)
}

// changed reports whether the files have changed since it last returned true. The
// first call returns true, and a call within watchEvery of the last one false.
func (w *watch) changed(now time.Time) bool {
	if now.Sub(w.looked) < watchEvery {
		return false
	}
	w.looked = now
	var stamps []stamp
	for _, file := range w.files {
		var s stamp
		if info, err := os.Stat(file); err == nil {
			s = stamp{info.ModTime(), info.Size(), info.Mode(), info}
		}
		stamps = append(stamps, s)
	}
	if slices.EqualFunc(stamps, w.stamps, stamp.same) {
		return false
	}
	w.stamps = stamps
	return true
}
