package bundle

import (
	"context"
	"io"
	"io/fs"
	"os"
	"sync"
)

// openDir opens an unpacked bundle: path itself, or the one directory below it
// that holds the bundle's charts.
func (b *Bundle) openDir(ctx context.Context, path string) (err error) {
	if b.hash != nil {
		return formatError("a directory has no digest")
	}
	b.Format = FormatDir
	if b.root, err = os.OpenRoot(path); err != nil {
		return err
	}
	l := newLayout(b.name)
	err = b.walkFiles(ctx, func(name string, _ fs.FileInfo, _ error) bool { return l.see(name, false) == nil })
	if err != nil {
		return err
	}
	if err := l.decide(); err != nil {
		return err
	}
	if l.root != "" {
		outer := b.root
		b.root, err = outer.OpenRoot(l.root)
		outer.Close()
		if err != nil {
			return err
		}
	}
	return b.walkFiles(ctx, func(_ string, info fs.FileInfo, refusal error) bool {
		if refusal == nil {
			b.Size += info.Size()
		}
		return true
	})
}

// walkDir yields the files of a directory.
func (b *Bundle) walkDir(ctx context.Context, yield func(*Entry, error) bool) error {
	var done int64
	return b.walkFiles(ctx, func(name string, info fs.FileInfo, refusal error) bool {
		if refusal != nil {
			return yield(nil, refusal)
		}
		f := &dirFile{root: b.root, name: name}
		if err := f.open(); err != nil {
			return yield(nil, unreadable(name, err))
		}
		b.opened = append(b.opened, f)
		more := yield(&Entry{Path: name, Size: info.Size(), Reader: io.NewSectionReader(f, 0, info.Size()), At: f}, nil)
		f.rest()
		done += info.Size()
		b.offset.Store(done)
		return more
	})
}

// walkFiles calls visit for every regular file below the root until it returns
// false. For anything unreadable, or neither a file nor a directory, it passes
// a refusal.
func (b *Bundle) walkFiles(ctx context.Context, visit func(name string, info fs.FileInfo, refusal error) bool) error {
	seen := 0
	return fs.WalkDir(b.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil && name == "." {
			return err
		}
		_, refusal := cleanName(name)
		if err != nil {
			refusal = unreadable(name, err)
		}
		if d.IsDir() && refusal == nil {
			return nil
		}
		if seen++; seen > maxEntries {
			return formatError("more than %d entries", maxEntries)
		}
		if !d.IsDir() && !d.Type().IsRegular() {
			refusal = modeKind(d.Type()).refused(name)
		}
		info, err := d.Info()
		if err != nil && refusal == nil {
			refusal = unreadable(name, err)
		}
		switch {
		case !visit(name, info, refusal):
			return fs.SkipAll
		case d.IsDir():
			return fs.SkipDir
		}
		return nil
	})
}

// A dirFile is a file of a directory that is opened when read, since entries
// outlive the iteration and may outnumber the file descriptors.
type dirFile struct {
	root *os.Root
	name string
	mu   sync.RWMutex // held for reading during a pread
	file *os.File
}

// ReadAt implements io.ReaderAt. After the bundle was closed it returns
// os.ErrClosed.
func (f *dirFile) ReadAt(p []byte, off int64) (int, error) {
	for {
		f.mu.RLock()
		if f.file != nil {
			defer f.mu.RUnlock()
			return f.file.ReadAt(p, off)
		}
		f.mu.RUnlock()
		if err := f.open(); err != nil { // rest may run between open and the lock
			return 0, err
		}
	}
}

func (f *dirFile) open() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		return nil
	}
	file, err := f.root.OpenFile(f.name, os.O_RDONLY|openRegular, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = entryError(f.name, "", "no longer a regular file")
	}
	if err != nil {
		file.Close()
		return err
	}
	f.file = file
	return nil
}

// rest closes the file until it is read again.
func (f *dirFile) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}
