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
	"math"
	"path/filepath"
	"slices"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/registry"
)

const usage = `usage: oci-serve [flags]

Serve an OCI registry from a directory. Anybody may read; only root and the
user that oci-serve runs as may write, from this host, unless --write or
--htpasswd says otherwise. SIGTERM lets running transfers finish, for up to 30
seconds.

  --host ADDRESS   listen here (default 0.0.0.0)
  --port PORT      listen here; 0 chooses a free one (default 5000)
  --storage DIR    keep everything here (default /var/lib/k0rdentd/registry)
  --k0s-dir DIR    serve the k0s binaries in here at /k0s/ (default k0s/ in
                   the storage)

  --tls auto       serve HTTPS with a certificate of the registry's own
                   authority, DIR/tls/ca.pem, for all of this host's names
  --tls-name NAME  a further name or address in it; repeat it, or use commas
  --tls-constrain  let that authority, when it is made, sign for nothing but the
                   names and addresses that this host has then
  --tls-cert FILE  serve HTTPS with this certificate (PEM, with its chain)
  --tls-key FILE   and this key; both are read again when they change

  --write WHO      who may push and delete: owner (root and the user that
                   oci-serve runs as, from this host; default), loopback (every
                   user of this host), auth (default with --htpasswd), any or
                   none
  --read WHO       who may pull: any (default) or auth
  --htpasswd FILE  users and their passwords, as htpasswd -B writes them

  --gc             remove unused blobs and empty repositories, report, and exit
  --uploads        with --gc: remove unfinished uploads too, however new
  --layout         write every index.json that is not up to date, and exit
  --scrub          read every blob again, report what is damaged, and exit
  --repair         with --scrub: set aside what is damaged
  --purge          remove the storage with all that oci-serve keeps in it, and
                   exit
  --yes            with --purge: do not ask

  --access-log FORMAT
                   log each request to stderr: text or json
  --format FORMAT  json (default), table, or a template: '{{.url}}'
  --quiet          errors and warnings only, as by default
  --verbose        the same as --access-log text
  --config FILE    read flags from FILE, one 'name value' a line
  --help           print this text
  --version        print the version

Every flag is also a variable: OCI_SERVE_STORAGE for --storage.
/healthz reports whether it can store, /metrics what it has served.
Exit codes: 0 stopped as asked, 1 failed or damaged, 2 misuse, 75 the port or
the storage is in use.

  oci-serve --storage /srv/registry &
  bundle-ls bundle.tgz | oci-push --to localhost:5000
`

// memoryLimit is what the Go runtime keeps its memory below, in bytes, unless
// GOMEMLIMIT is set. The process takes some more; 64 MB are promised.
const memoryLimit = 40 << 20

type config struct {
	cli.Common
	host         string
	port         int
	storage      string
	k0sDir       string
	tls          string
	tlsNames     nameList
	tlsConstrain bool
	tlsCert      string
	tlsKey       string
	write        string
	read         string
	htpasswd     string
	gc           bool
	uploads      bool
	layout       bool
	scrub        bool
	repair       bool
	purge        bool
	yes          bool
	accessLog    string
	format       *record.Format
}

func (c *config) flags() *flag.FlagSet {
	set := cli.NewFlagSet("oci-serve", &c.Common)
	c.format = record.NewFormat(record.Registry{})
	set.StringVar(&c.host, "host", "0.0.0.0", "listen on `ADDRESS`")
	set.IntVar(&c.port, "port", 5000, "listen on `PORT`; 0 chooses a free one")
	set.StringVar(&c.storage, "storage", "/var/lib/k0rdentd/registry", "keep everything in `DIR`")
	set.StringVar(&c.k0sDir, "k0s-dir", "", "serve the k0s files in `DIR`")
	set.StringVar(&c.tls, "tls", "", "auto: HTTPS with an authority of its own")
	set.Var(&c.tlsNames, "tls-name", "a further `NAME` in the certificate of --tls auto")
	set.BoolVar(&c.tlsConstrain, "tls-constrain", false, "hold a new authority to this host's names")
	set.StringVar(&c.tlsCert, "tls-cert", "", "HTTPS with the certificate in `FILE`")
	set.StringVar(&c.tlsKey, "tls-key", "", "its key in `FILE`")
	set.StringVar(&c.write, "write", "", "`WHO` may push and delete: owner, loopback, auth, any or none")
	set.StringVar(&c.read, "read", "any", "`WHO` may pull: any or auth")
	set.StringVar(&c.htpasswd, "htpasswd", "", "users and passwords in `FILE`")
	set.BoolVar(&c.gc, "gc", false, "remove unused blobs")
	set.BoolVar(&c.uploads, "uploads", false, "remove unfinished uploads, too")
	set.BoolVar(&c.layout, "layout", false, "write every index.json that is not up to date")
	set.BoolVar(&c.scrub, "scrub", false, "look for damaged blobs")
	set.BoolVar(&c.repair, "repair", false, "set damaged blobs aside")
	set.BoolVar(&c.purge, "purge", false, "remove the storage")
	set.BoolVar(&c.yes, "yes", false, "do not ask before --purge")
	set.StringVar(&c.accessLog, "access-log", "", "log requests in `FORMAT`: text or json")
	set.Var(c.format, "format", "json, table or a Go template")
	return set
}

// check fills in what follows from other flags and tells what does not fit.
func (c *config) check() error {
	if c.write == "" {
		c.write = "owner"
		if c.htpasswd != "" {
			c.write = "auth"
		}
	}
	for _, f := range []struct {
		name, value, wanted string
		values              []string
	}{
		{"--write", c.write, "owner, loopback, auth, any or none", []string{"owner", "loopback", "auth", "any", "none"}},
		{"--read", c.read, "any or auth", []string{"any", "auth"}},
		{"--tls", c.tls, "auto", []string{"", "auto"}},
		{"--access-log", c.accessLog, "text or json", []string{"", "text", "json"}},
	} {
		if !slices.Contains(f.values, f.value) {
			return cli.Misuse("invalid %s %q: must be %s", f.name, f.value, f.wanted)
		}
	}
	needed := c.write == "auth" || c.read == "auth"
	switch {
	case c.storage == "": // it would be whatever directory this is
		return cli.Misuse("--storage: must name a directory")
	case c.port < 0 || c.port > math.MaxUint16:
		return cli.Misuse("invalid --port %d: must be a number from 0 to %d", c.port, math.MaxUint16)
	case (c.tlsCert == "") != (c.tlsKey == ""):
		return cli.Misuse("--tls-cert and --tls-key require each other")
	case c.tls == "auto" && c.tlsCert != "":
		return cli.Misuse("--tls auto and --tls-cert are mutually exclusive")
	case len(c.tlsNames) > 0 && c.tls != "auto":
		return cli.Misuse("--tls-name requires --tls auto")
	case needed && c.htpasswd == "":
		return cli.Hint(cli.Misuse("--write auth and --read auth require --htpasswd FILE"), "htpasswd -B -c FILE NAME makes one")
	case !needed && c.htpasswd != "":
		return cli.Misuse("--htpasswd %s: protects nothing without --write auth or --read auth", c.htpasswd)
	case c.tlsConstrain && c.tls != "auto":
		return cli.Misuse("--tls-constrain requires --tls auto")
	case c.repair && !c.scrub:
		return cli.Misuse("--repair requires --scrub")
	case c.uploads && !c.gc:
		return cli.Misuse("--uploads requires --gc")
	case c.gc && c.scrub:
		return cli.Misuse("--gc and --scrub are mutually exclusive")
	case c.layout && (c.gc || c.scrub):
		return cli.Misuse("--layout, --gc and --scrub are mutually exclusive")
	case c.purge && (c.gc || c.scrub || c.layout):
		return cli.Misuse("--purge, --layout, --gc and --scrub are mutually exclusive")
	case c.yes && !c.purge:
		return cli.Misuse("--yes requires --purge")
	}
	return nil
}

func main() { cli.Main("oci-serve", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	fs := cfg.flags()
	if err := cli.Parse(fs, args, usage, stdout, 0); err != nil {
		if fs.NArg() > 0 {
			err = cli.Hint(err, "--storage names the directory to serve from; bundle-ls BUNDLE | oci-push --to localhost:5000 fills it")
		}
		return err
	}
	if err := cfg.check(); err != nil {
		return err
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
	out := record.NewWriter(stdout, cfg.format)
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

func collect(ctx context.Context, disk *registry.Disk, uploads bool, out *record.Writer) error {
	start := time.Now()
	c, err := disk.Collect(ctx, uploads)
	if err != nil {
		return err
	}
	counts := map[string]int{"removed": c.Removed, "kept": c.Kept}
	for what, n := range map[string]int{"repositories": c.Repositories, "uploads": c.Uploads} {
		if n > 0 {
			counts[what] = n
		}
	}
	return out.Write(record.Summary{Tool: "oci-serve", Counts: counts, Bytes: c.RemovedBytes, Seconds: record.Seconds(time.Since(start))})
}

// renew writes the index.json of the repositories that other programs would see
// an old state of.
func renew(ctx context.Context, disk *registry.Disk, out *record.Writer) error {
	start := time.Now()
	n, err := disk.RenewIndexes(ctx)
	if err != nil {
		return err
	}
	return out.Write(record.Summary{Tool: "oci-serve", Counts: map[string]int{"renewed": n}, Seconds: record.Seconds(time.Since(start))})
}
