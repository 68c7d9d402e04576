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
	"flag"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/registry"
)

const usage = `usage: oci-serve [flags]

Serve an OCI registry from a directory. Anybody may read; only this host may
write, unless --write says otherwise. SIGTERM lets running transfers finish,
for up to 30 seconds.

  --host ADDRESS   listen here (default 0.0.0.0)
  --port PORT      listen here; 0 takes a free one (default 5000)
  --storage DIR    keep everything here (default /var/lib/k0rdentd/registry)
  --write WHO      who may push and delete: loopback (default), any or none
  --gc             remove blobs that are of no use any more, report, and exit
  --format FORMAT  json (default), table, or a template: '{{.url}}'
  --quiet          errors only, which is what it does without it
  --verbose        log each request to stderr
  --config FILE    read flags from FILE, one 'name value' a line
  --help           print this text
  --version        print the version

Every flag is also a variable: OCI_SERVE_STORAGE for --storage.
Exit codes: 0 stopped as asked, 1 failed, 2 misuse, 75 the port or the storage
is in use.

  oci-serve --storage /srv/registry &
  bundle-ls bundle.tgz | oci-push --to localhost:5000
`

// memoryLimit is what the Go runtime keeps its memory below, in bytes, unless
// GOMEMLIMIT is set. The process takes some more; 64 MB are promised.
const memoryLimit = 40 << 20

type config struct {
	cli.Common
	host    string
	port    int
	storage string
	write   string
	gc      bool
	format  *record.Format
}

func (c *config) flags() *flag.FlagSet {
	set := cli.NewFlagSet("oci-serve", &c.Common)
	c.format = record.NewFormat(record.Registry{})
	set.StringVar(&c.host, "host", "0.0.0.0", "listen on `ADDRESS`")
	set.IntVar(&c.port, "port", 5000, "listen on `PORT`; 0 takes a free one")
	set.StringVar(&c.storage, "storage", "/var/lib/k0rdentd/registry", "keep everything in `DIR`")
	set.StringVar(&c.write, "write", "loopback", "`WHO` may push and delete: loopback, any or none")
	set.BoolVar(&c.gc, "gc", false, "remove blobs that are of no use any more")
	set.Var(c.format, "format", "json, table or a Go template")
	return set
}

// writers has the values of --write.
var writers = map[string]func(*http.Request) error{
	"loopback": registry.FromLoopback,
	"any":      nil,
	"none":     registry.DenyAll,
}

func main() { cli.Main("oci-serve", run) }

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	if err := cli.Parse(cfg.flags(), args, usage, stdout, 0); err != nil {
		return err
	}
	allow, ok := writers[cfg.write]
	if !ok {
		return cli.Misuse("--write %q: want loopback, any or none", cfg.write)
	}
	if cfg.port < 0 || cfg.port > math.MaxUint16 {
		return cli.Misuse("--port %d: want a number from 0 to %d", cfg.port, math.MaxUint16)
	}
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // GOMEMLIMIT is not set
		debug.SetMemoryLimit(memoryLimit)
	}
	var err error
	if cfg.storage, err = filepath.Abs(cfg.storage); err != nil {
		return err
	}
	disk, err := registry.OpenDisk(cfg.storage)
	if err != nil {
		return storageError(err, cfg.gc)
	}
	defer disk.Close()
	out := record.NewWriter(stdout, cfg.format)
	if cfg.gc {
		return collect(ctx, disk, out)
	}
	log := newLog(stderr, cfg.Verbose)
	return serve(ctx, cfg, registry.New(disk, registry.Options{AllowWrite: allow, Log: log}), out, log)
}

// storageError adds the exit code and the remedy to what OpenDisk said.
func storageError(err error, gc bool) error {
	var inUse *registry.InUseError
	switch {
	case errors.As(err, &inUse) && gc:
		return cli.Hint(cli.TryAgain(err), "stop the registry while garbage is collected")
	case errors.As(err, &inUse):
		return cli.Hint(cli.TryAgain(err), "stop that process, or name another directory with --storage")
	case errors.Is(err, fs.ErrPermission):
		return cli.Hint(err, "run as root, or name a directory of yours with --storage")
	}
	return err
}

func collect(ctx context.Context, disk *registry.Disk, out *record.Writer) error {
	start := time.Now()
	c, err := disk.Collect(ctx)
	if err != nil {
		return err
	}
	return out.Write(record.Summary{
		Tool:    "oci-serve",
		Counts:  map[string]int{"removed": c.Removed, "kept": c.Kept},
		Bytes:   c.RemovedBytes,
		Seconds: time.Since(start).Seconds(),
	})
}

// newLog makes the log of a person who wants to see each request, or else of
// one who wants to see faults only, in the form of all the tools' messages.
func newLog(stderr io.Writer, verbose bool) *slog.Logger {
	if verbose {
		return slog.New(slog.NewTextHandler(stderr, nil))
	}
	return slog.New(&faultHandler{stderr})
}
