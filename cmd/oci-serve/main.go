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
  --htpasswd FILE  users and their passwords, in bcrypt
  --passwd USER    set a user's password in --htpasswd FILE, or print the line
                   without it, and exit; asks for the password
  --password-file FILE
                   with --passwd: read the password from FILE, or - for stdin
  --remove         with --passwd: remove the user instead
  --upload-limit BYTES
                   how much the unfinished uploads of one user or address may
                   hold together; 0 (default) is no limit

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
/healthz reports whether it can store, /metrics what it has served; a browser
finds a page at /, with what the registry holds and how to pull it.
Exit codes: 0 stopped as asked, 1 failed or damaged, 2 misuse, 75 the port or
the storage is in use.

  oci-serve --storage /srv/registry &
  bundle-ls bundle.tgz | oci-push --to localhost:5000
`

// memoryLimit is what the Go runtime keeps its memory below, in bytes, unless
// GOMEMLIMIT is fs. The process takes some more; 64 MB are promised.
const memoryLimit = 40 << 20

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
