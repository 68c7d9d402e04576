package main

const usage = `usage: oci-serve [flags]

  oci-serve --storage /srv/registry --tls auto
  oci-serve --storage /srv/registry --gc

Serve an OCI registry from a directory. Anyone may pull. Only root and the user
that oci-serve runs as may push, from this host, unless --write or --htpasswd
allows others. SIGTERM lets running transfers finish, for up to 30 seconds.

Serving:
  --host ADDRESS   listen on this address (default 0.0.0.0)
  --port PORT      listen on this port; 0 chooses a free one (default 5000)
  --storage DIR    keep everything in DIR (default /var/lib/k0rdentd/registry)
  --k0s-dir DIR    serve the k0s binaries in DIR at /k0s/ (default k0s/ in the
                   storage)
  --files DIR      serve the files in DIR at /files/, next to those of bundles
                   in the registry
  --files-http [HOST]:PORT
                   also serve these files, and nothing else, over plain HTTP on
                   this address
  --upload-limit SIZE
                   limit the unfinished uploads of one user or address to SIZE,
                   such as 20G; 0 (default) means no limit

TLS:
  --tls auto       serve HTTPS with a certificate for all names of this host,
                   signed by the registry's own authority, tls/ca.pem in the
                   storage
  --tls-name NAME  add a name or address to it; repeatable, or with commas
  --tls-constrain  limit a new authority to the names and addresses that this
                   host has now
  --tls-cert FILE  serve HTTPS with this certificate (PEM, with its chain)
  --tls-key FILE   the key of --tls-cert; both are reloaded when they change

Access:
  --write WHO      clients that may push and delete: owner (default; root and
                   the user that oci-serve runs as, from this host), loopback
                   (every user of this host), auth (default with --htpasswd),
                   any or none
  --read WHO       clients that may pull: any (default) or auth
  --htpasswd FILE  users and their bcrypt-hashed passwords
  --passwd USER    ask for a user's password, set it in --htpasswd FILE or,
                   without that, print its line, and exit
  --password-file FILE
                   with --passwd: read the password from FILE, or - for stdin
  --remove         with --passwd: remove the user instead

Maintenance:
  --gc             remove unused blobs and empty repositories, and exit
  --uploads        with --gc: remove unfinished uploads too, however new
  --layout         update every outdated index.json, and exit
  --scrub          read every blob, report damaged ones, and exit
  --repair         with --scrub: set damaged blobs aside
  --purge          remove everything that oci-serve keeps in the storage, and
                   exit
  --yes            with --purge: do not ask

Output:
  --access-log FORMAT
                   log each request to stderr: text or json
  --format FORMAT  auto (default), json, table, or a template: '{{.url}}'
  --quiet          print only warnings and errors (the default)
  --verbose        the same as --access-log text

General:
  --config FILE    read flags from FILE, one 'name value' per line
  --help, -h       print this text
  --version        print the version

Every flag is also an environment variable: OCI_SERVE_STORAGE for --storage.
/healthz reports whether the registry can store, /metrics what it has served;
the page at / shows a browser what the registry holds and how to pull it.
Exit codes: 0 stopped on request, 1 failed or damaged, 2 misuse, 75 the port or
the storage is in use.
`
