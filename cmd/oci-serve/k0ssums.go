package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// k0sSums knows the checksums of the k0s files, each of which is read once until
// it changes.
type k0sSums struct {
	k0s   k0sFiles
	mu    sync.Mutex
	known map[string]sumOf
}

type sumOf struct {
	size    int64
	changed time.Time
	sum     string
}

// list returns the k0s files with their checksums.
func (k *k0sSums) list(ctx context.Context) ([]stored, error) {
	root, err := os.OpenRoot(k.k0s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	names, err := k.k0s.names(root)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []stored
	now := make(map[string]sumOf)
	for _, line := range names {
		name := strings.TrimSuffix(line, "\n")
		s, err := k.of(ctx, root, name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, error(errNoK0s)) { // removed since
			continue
		}
		if err != nil {
			return nil, err
		}
		now[name] = s
		all = append(all, stored{Name: strings.TrimPrefix(k0sPrefixes[0], "/") + name, Size: s.size, Sum: s.sum})
	}
	k.known = now
	return all, nil
}

func (k *k0sSums) of(ctx context.Context, root *os.Root, name string) (sumOf, error) {
	f, info, err := k.k0s.open(root, name)
	if err != nil {
		return sumOf{}, err
	}
	defer f.Close()
	s := sumOf{size: info.Size(), changed: info.ModTime()}
	if old, ok := k.known[name]; ok && old.size == s.size && old.changed.Equal(s.changed) {
		return old, nil
	}
	if ctx.Err() != nil {
		return sumOf{}, context.Cause(ctx)
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	s.sum = fmt.Sprintf("%x", h.Sum(nil))
	return s, err
}
