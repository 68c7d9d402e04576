package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/registry"
)

// purge removes the storage and everything that oci-serve keeps in it.
func purge(ctx context.Context, cfg config, stdin io.Reader, out *record.Writer, stderr io.Writer) error {
	start := time.Now()
	var held registry.Usage
	left, err := registry.Purge(cfg.storage, func(u registry.Usage) error {
		held = u
		if cfg.yes {
			return context.Cause(ctx)
		}
		return cli.Confirm(ctx, stdin, stderr, fmt.Sprintf("oci-serve: remove the storage %s with %s of blobs?", cfg.storage, record.Bytes(u.Bytes)))
	}, removeBeside)
	if err != nil {
		if errors.Is(err, cli.ErrDeclined) || cli.IsMisuse(err) {
			return err
		}
		return storageError(cfg.storage, err, true)
	}
	if len(left) > 0 && !cfg.Quiet {
		fmt.Fprintf(stderr, "oci-serve: %s is kept, because it contains other files: %s\n", cfg.storage, strings.Join(left, ", "))
	}
	return out.Write(record.Summary{Tool: "oci-serve", Counts: map[string]int{"removed": held.Blobs}, Bytes: held.Bytes, Seconds: record.Seconds(time.Since(start))})
}

// removeBeside removes what is in the storage besides the registry's content: the
// authority with its certificate, and the k0s binaries of --k0s-dir's default.
func removeBeside(root *os.Root) error {
	for dir, ours := range map[string]func(name string) bool{"tls": isTLS, "k0s": isK0s} {
		entries, err := fs.ReadDir(root.FS(), dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		kept := 0
		for _, e := range entries {
			if !ours(complete(e.Name())) || e.IsDir() {
				kept++
			} else if err := root.Remove(path.Join(dir, e.Name())); err != nil {
				return err
			}
		}
		if kept > 0 {
			continue
		}
		if err := root.Remove(dir); err != nil {
			return err
		}
	}
	return nil
}

// isTLS reports whether --tls auto makes a file of this name in tls/.
func isTLS(name string) bool { return name == "ca.pem" || name == "ca.key" || name == "server.pem" }

// isK0s reports whether a file of this name in k0s/ is served.
func isK0s(name string) bool { return spellings(name) != nil }

// complete returns the name that a file which is being written to will have.
func complete(name string) string {
	hidden, ok := strings.CutPrefix(name, ".")
	if whole, temporary := strings.CutSuffix(hidden, ".new"); ok && temporary {
		return strings.TrimSuffix(whole, path.Ext(whole))
	}
	return name
}
