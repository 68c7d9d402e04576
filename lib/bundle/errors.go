package bundle

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// What can be wrong with a bundle. Test with errors.Is; the text names the
// entry or the offset.
var (
	// ErrTruncated: the bytes end before the archive does. Copy it again.
	ErrTruncated = errors.New("truncated")
	// ErrCorrupt: bytes are there, but not those that were written.
	ErrCorrupt = errors.New("corrupted")
	// ErrFormat: the file is of a kind that no bundle has.
	ErrFormat = errors.New("not a bundle")
	// ErrEntry: an entry that no bundle may have (a hostile name, a link, a
	// device, a second entry of the same name) or that cannot be read. The
	// others can still be read; the error is an EntryError.
	ErrEntry = errors.New("entry refused")
	// ErrLayout: entries that contradict each other on where the bundle's
	// root is, so that some names given out so far would be wrong.
	ErrLayout = errors.New("unclear layout")
)

// A DamageError tells that the bundle's bytes cannot be read any further.
type DamageError struct {
	Kind   error  // ErrTruncated or ErrCorrupt
	Offset int64  // bytes of the file consumed when it was noticed
	Entry  string // the entry in whose middle it was noticed, "" if between entries
	Err    error  // what the reader below said
}

func (e *DamageError) Error() string {
	prep := "near"
	if e.Kind == ErrTruncated {
		prep = "at"
	}
	where := ""
	if e.Entry != "" {
		where = ", in the middle of entry " + e.Entry
	}
	text := fmt.Sprintf("%v %s byte %d%s", e.Kind, prep, e.Offset, where)
	if e.Err == io.ErrUnexpectedEOF || e.Err == io.EOF {
		return text // which says as much
	}
	return fmt.Sprintf("%s: %v", text, e.Err)
}

// Unwrap makes errors.Is find the kind as well as the cause.
func (e *DamageError) Unwrap() []error { return []error{e.Kind, e.Err} }

// An EntryError is an ErrEntry about one entry or, where the system does not let
// us read it, one directory.
type EntryError struct {
	Entry   string // its name, which may itself be the trouble
	Problem string // what is wrong with it
	Remedy  string // a sentence on what to do about it, or ""
	Err     error  // of the system, nil if the entry was refused
}

func (e *EntryError) Error() string { return fmt.Sprintf("entry %q: %s", e.Entry, e.Problem) }

// Unwrap makes errors.Is find the kind as well as the cause.
func (e *EntryError) Unwrap() []error { return []error{ErrEntry, e.Err} }

func entryError(name, remedy, format string, args ...any) error {
	return &EntryError{Entry: name, Problem: fmt.Sprintf(format, args...), Remedy: remedy}
}

// unreadable is the EntryError of what the system does not let us read.
func unreadable(name string, err error) error {
	cause := err
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		cause = at.Err
	}
	return &EntryError{Entry: name, Problem: cause.Error(), Err: err}
}

func formatError(format string, args ...any) error {
	return &kindError{ErrFormat, ErrFormat.Error() + ": " + fmt.Sprintf(format, args...)}
}

func layoutError(format string, args ...any) error {
	return &kindError{ErrLayout, fmt.Sprintf(format, args...)}
}

// kindError carries a sentence of its own and still answers to errors.Is.
type kindError struct {
	kind error
	text string
}

func (e *kindError) Error() string { return e.text }
func (e *kindError) Unwrap() error { return e.kind }
