// oci-serve is an OCI registry on disk: distribution-spec 1.1, whole, in
// constant memory.
//
// It reads no input. It writes a registry record once it accepts connections.
// Killed at any instant, it leaves nothing that a reader could take for
// complete; what it has acknowledged is there when it starts again.
package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/registry"
)

// memoryLimit is what the Go runtime keeps its memory below, in bytes, unless
// GOMEMLIMIT is fs. The process takes some more; 64 MB are promised.
const memoryLimit = 40 << 20

func main() { cli.Main("oci-serve", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	if err := cli.Parse(fs, args, usage, stdout, 0); err != nil {
		if errors.Is(err, cli.ErrUnexpected) {
			err = cli.Hint(err, "--storage names the directory to serve from; bundle-ls BUNDLE | oci-push --to localhost:5000 fills it")
		}
		return err
	}
	if err := cfg.check(); err != nil {
		return cli.Named(fs, err)
	}
	out := record.NewWriter(stdout, cfg.format)
	if cfg.passwd != "" {
		return passwd(ctx, cfg, stdin, stdout, stderr, out)
	}
	cli.LimitMemory(memoryLimit)
	var err error
	if cfg.storage, err = filepath.Abs(cfg.storage); err != nil {
		return err
	}
	if cfg.k0sDir == "" {
		cfg.k0sDir = filepath.Join(cfg.storage, "k0s")
	}
	if cfg.k0sDir, err = filepath.Abs(cfg.k0sDir); err != nil {
		return err
	}
	if cfg.gc || cfg.scrub || cfg.layout || cfg.purge {
		if err := registry.IsStorage(cfg.storage); err != nil {
			return cli.Hint(cli.Misuse("--storage: %w", err), "name the directory that oci-serve serves from")
		}
	}
	if cfg.purge {
		return purge(ctx, cfg, stdin, out, stderr)
	}
	if cfg.scrub && !cfg.repair {
		return scrub(ctx, cfg, nil, out, stderr)
	}
	disk, err := registry.OpenDisk(cfg.storage)
	if err != nil {
		return storageError(cfg.storage, err, cfg.gc || cfg.repair || cfg.layout)
	}
	disk.LimitUploads(cfg.uploadLimit)
	log := newLog(stderr, cfg)
	for _, warning := range disk.Warnings() {
		log.Warn("converted the storage, but not all of it", "error", warning)
	}
	switch {
	case cfg.gc:
		err = collect(ctx, disk, cfg.uploads, out)
	case cfg.layout:
		err = renew(ctx, disk, out)
	case cfg.scrub:
		err = scrub(ctx, cfg, disk, out, stderr)
	default:
		err = serve(ctx, cfg, disk, out, log)
	}
	return errors.Join(err, disk.Close())
}
