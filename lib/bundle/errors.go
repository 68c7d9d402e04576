package bundle

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// The errors of a bundle. Test with errors.Is; the text names the entry or the
// offset.
var (
	// ErrTruncated: the bytes end before the archive does. Copy it again.
	ErrTruncated = errors.New("truncated")
	// ErrCorrupt: the bytes are not those that were written.
	ErrCorrupt = errors.New("corrupted")
	// ErrFormat: the file is not a bundle of any supported format.
	ErrFormat = errors.New("not a bundle")
	// ErrEntry: an entry is unreadable or not allowed (a hostile name, a
	// link, a device, a duplicate name). Other entries can still be read;
	// the error is an EntryError.
	ErrEntry = errors.New("entry refused")
	// ErrLayout: the entries contradict each other about the bundle's root,
	// so that some of the names returned so far would be wrong.
	ErrLayout = errors.New("unclear layout")
)

// FAT32Max is the size of the largest file that FAT32 holds. A copy of a larger
// file ends there.
const FAT32Max = 1<<32 - 1

// A DamageError means that the bundle cannot be read any further.
type DamageError struct {
	Kind   error  // ErrTruncated, ErrCorrupt or ErrPart
	Offset int64  // bytes of the file consumed when it was detected
	Entry  string // the entry being read when it was detected, "" if between entries
	Part   string // of a series, the part that it was detected in
	Err    error  // the error of the reader below
}

func (e *DamageError) Error() string {
	if e.Kind == ErrPart {
		return e.Err.Error()
	}
	prep := "near"
	if e.Kind == ErrTruncated {
		prep = "at"
	}
	where := ""
	if e.Kind == ErrTruncated && e.Offset == FAT32Max && e.Part == "" {
		where = " (probably by FAT32, which holds no larger file)"
	}
	if e.Part != "" {
		where = " of the whole, in " + e.Part
	}
	if e.Entry != "" {
		where += ", in the middle of entry " + e.Entry
	}
	text := fmt.Sprintf("%v %s byte %d%s", e.Kind, prep, e.Offset, where)
	if e.Err == io.ErrUnexpectedEOF || e.Err == io.EOF {
		return text // already says so
	}
	return fmt.Sprintf("%s: %v", text, e.Err)
}

// Unwrap returns the kind and the cause, for errors.Is.
func (e *DamageError) Unwrap() []error { return []error{e.Kind, e.Err} }

// An EntryError is an ErrEntry about one entry or one unreadable directory.
type EntryError struct {
	Entry   string // its name, which may itself be the problem
	Problem string // what is wrong with it
	Remedy  string // what to do about it, as a sentence, or ""
	Err     error  // from the system; nil if the entry was refused
}

func (e *EntryError) Error() string { return fmt.Sprintf("entry %q: %s", e.Entry, e.Problem) }

// Unwrap returns the kind and the cause, for errors.Is.
func (e *EntryError) Unwrap() []error { return []error{ErrEntry, e.Err} }

func entryError(name, remedy, format string, args ...any) error {
	return &EntryError{Entry: name, Problem: fmt.Sprintf(format, args...), Remedy: remedy}
}

// unreadable returns the EntryError for an entry that the system cannot read.
func unreadable(name string, err error) error {
	cause := err
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		cause = at.Err
	}
	return &EntryError{Entry: name, Problem: cause.Error(), Err: err}
}

func formatError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
}

func layoutError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrLayout}, args...)...)
}
