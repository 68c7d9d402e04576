package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// openRegular opens a file below root, out of which no link leads. What is no
// regular file does not exist.
func openRegular(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	// Not to wait for the other end, should it be a pipe.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENOTDIR) {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// serveFile answers with a file of the disk.
func serveFile(w http.ResponseWriter, r *http.Request, f *os.File, info fs.FileInfo) {
	w.Header().Set("Content-Type", "application/octet-stream")
	// The version of a file that was replaced within a second differs as well.
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// fileSums knows the checksums of files of the disk, each of which is read once
// until it changes.
type fileSums struct {
	mu    sync.Mutex
	known map[string]sumOf // by name
}

type sumOf struct {
	size    int64
	changed time.Time
	sum     string
}

// list returns files with their checksums, but for those that cannot be opened:
// they cannot be served either.
func (s *fileSums) list(ctx context.Context, names []string, open func(name string) (*os.File, fs.FileInfo, error)) ([]stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []stored
	now := make(map[string]sumOf)
	for _, name := range names {
		f, info, err := open(name)
		if err != nil {
			continue
		}
		sum, err := s.of(ctx, name, f, info)
		f.Close()
		if err != nil {
			return nil, err
		}
		now[name] = sum
		all = append(all, stored{Name: name, Size: sum.size, Sum: sum.sum})
	}
	s.known = now
	return all, nil
}

func (s *fileSums) of(ctx context.Context, name string, f *os.File, info fs.FileInfo) (sumOf, error) {
	sum := sumOf{size: info.Size(), changed: info.ModTime()}
	if old, ok := s.known[name]; ok && old.size == sum.size && old.changed.Equal(sum.changed) {
		return old, nil
	}
	h := sha256.New()
	_, err := io.Copy(h, &untilDone{ctx, f})
	sum.sum = fmt.Sprintf("%x", h.Sum(nil))
	return sum, err
}

// untilDone reads until a context is done: a client that has left waits for no
// checksum.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}
