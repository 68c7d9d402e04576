// oci-serve is an OCI registry on disk: all of distribution-spec 1.1, in constant
// memory.
//
// It reads no input. It writes a registry record once it accepts connections.
// Killed at any time, it leaves nothing incomplete visible, and everything that it
// has acknowledged is there after a restart.
package main

import (
	"context"
	"errors"
	"io"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/registry"
)

// memoryLimit is the soft memory limit of the Go runtime, in bytes, unless
// GOMEMLIMIT is set. The process uses some more; the promise is 64 MB.
const memoryLimit = 40 << 20

func main() { cli.Main("oci-serve", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	if err := cli.Parse(fs, args, usage, stdout, 0); err != nil {
		if errors.Is(err, cli.ErrUnexpected) {
			err = cli.Hint(err, "name the directory to serve from with --storage; fill it with bundle-ls BUNDLE | oci-push --to localhost:5000")
		}
		return err
	}
	if err := cfg.check(); err != nil {
		return cli.Named(fs, err)
	}
	progress, out, _ := cfg.Open("oci-serve", stdout, stderr)
	defer progress.Close()
	if cfg.passwd != "" {
		return passwd(ctx, cfg, stdin, stdout, stderr, out)
	}
	cli.LimitMemory(memoryLimit)
	if err := cfg.locate(); err != nil {
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
		return scrub(ctx, cfg, nil, out, progress)
	}
	disk, err := registry.OpenDisk(cfg.storage)
	if err != nil {
		return storageError(cfg.storage, err, cfg.gc || cfg.repair || cfg.layout)
	}
	disk.LimitUploads(cfg.uploadLimit)
	log := newLog(stderr, cfg)
	for _, warning := range disk.Warnings() {
		log.Warn("the storage was converted only in part", "error", warning)
	}
	switch {
	case cfg.gc:
		err = collect(ctx, disk, cfg.uploads, out)
	case cfg.layout:
		err = renew(ctx, disk, out)
	case cfg.scrub:
		err = scrub(ctx, cfg, disk, out, progress)
	default:
		err = serve(ctx, cfg, disk, out, log, progress.Warn)
	}
	return errors.Join(err, disk.Close())
}
