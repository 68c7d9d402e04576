package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
)

// k0sSums lists the k0s files with their checksums.
type k0sSums struct {
	k0s  k0sFiles
	sums fileSums
}

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
	all, err := k.sums.list(ctx, names, func(name string) (*os.File, fs.FileInfo, error) { return k.k0s.open(root, name) })
	for i := range all {
		all[i].Name = strings.TrimPrefix(k0sPrefixes[0], "/") + all[i].Name
	}
	return all, err
}
