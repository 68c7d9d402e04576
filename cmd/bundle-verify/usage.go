package main

const usage = `usage: bundle-verify --key FILE [flags] FILE
       bundle-verify --digest sha256:HEX [flags] FILE
       bundle-verify --plan [--key FILE] [flags] FILE

  bundle-verify --key cosign.pub bundle.tgz
  bundle-verify --key cosign.pub bundle.tgz | bundle-version
  bundle-verify --key cosign.pub bundle.tgz.part-aa

Verify that FILE is what its vendor signed with cosign; print one bundle record.
FILE is any signed file, or "-" for stdin. For a file in parts, name the first
part, or all parts in any order; the signature is that of the whole file.

Verification:
  --key FILE|URL      the public key or certificate, in PEM form
  --signature FILE    the signature (default: FILE.sig or FILE.sigstore.json)
  --digest DIGEST     the digest that FILE must have: sha256:HEX, or a line
                      that sha256sum prints
  --plan              check that FILE with all its parts, the signature and the
                      key exist and belong together, without reading FILE

Output:
  --format FORMAT     auto (default), json, table, or a template: '{{.digest}}'
  --quiet             print only warnings and errors
  --verbose           log each action to stderr

General:
  --config FILE       read flags from FILE, one 'name value' per line
  --help, -h          print this text
  --version           print the version

The signature is detached (base64 or binary) or a sigstore bundle (JSON), made
with a key. Certificates and transparency log entries are reported but not
checked. Nothing is fetched, except a key given as a URL.

Every flag is also an environment variable: BUNDLE_VERIFY_KEY for --key.
If no key is given, K0RDENT_COSIGN_KEY names it.
Exit codes: 0 the file is good, 1 it is not or cannot be verified, 2 misuse,
130 interrupted.
`
