package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/pemfile"
	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/textfile"
)

// roleBoth is what k0sctl calls a controller that runs pods as well.
const roleBoth = "controller+worker"

// packing is what the flags say of --export, and what their files hold.
type packing struct {
	to      string
	role    string
	mirrors []k0s.Mirror
	user    string
	secret  string // file with the password
	token   string // file
	config  string // file

	ca, tokenText, configText []byte
}

// addresses lists mirrors as --mirror does.
func addresses(mirrors []k0s.Mirror) string {
	var all []string
	for _, m := range mirrors {
		all = append(all, m.String())
	}
	return strings.Join(all, ",")
}

func (p *packing) flags(fs *flag.FlagSet) {
	fs.StringVar(&p.to, "export", "", "")
	fs.StringVar(&p.role, "role", "", "")
	cli.ListVar(fs, &p.mirrors, "mirror", k0s.ParseMirror)
	fs.StringVar(&p.user, "mirror-username", "", "")
	fs.StringVar(&p.secret, "mirror-password-file", "", "")
	fs.StringVar(&p.token, "token-file", "", "")
	fs.StringVar(&p.config, "k0s-yaml", "", "")
}

// archive tells whether one file is written, rather than a directory.
func (p *packing) archive() bool {
	return p.to == "-" || strings.HasSuffix(p.to, ".tar.gz") || strings.HasSuffix(p.to, ".tgz")
}

// check finds contradictions, and reads the files that are packed.
func (p *packing) check(c *config) (err error) {
	if p.to == "" {
		for name, given := range map[string]bool{
			"role": p.role != "", "mirror": len(p.mirrors) > 0, "mirror-username": p.user != "",
			"mirror-password-file": p.secret != "", "token-file": p.token != "", "k0s-yaml": p.config != "",
		} {
			if given {
				return cli.Misuse("--%s is about what --export packs", name)
			}
		}
		return nil
	}
	p.role = cmp.Or(p.role, k0s.RoleWorker)
	switch {
	case p.role != k0s.RoleWorker && p.role != k0s.RoleController && p.role != roleBoth:
		return cli.Misuse("--role %q: must be worker, controller or controller+worker", p.role)
	case p.role != k0s.RoleWorker && p.config == "":
		return cli.Hint(cli.Misuse("a further controller needs the k0s.yaml of the first"), "give --k0s-yaml %s", k0s.ConfigPath)
	case p.role == k0s.RoleWorker && p.config != "":
		return cli.Misuse("--k0s-yaml: a worker has no configuration of its own")
	case (p.user == "") != (p.secret == ""):
		return cli.Misuse("--mirror-username and --mirror-password-file go together")
	}
	if p.to != "-" {
		if p.to, err = filepath.Abs(p.to); err != nil {
			return err
		}
	}
	if p.config != "" {
		if p.configText, err = readConfig(p.config); err != nil {
			return cli.Misuse("--k0s-yaml %s: %w", p.config, err)
		}
	}
	if p.token != "" {
		if p.tokenText, err = readToken(p.token, p.role); err != nil {
			return cli.Misuse("--token-file: %w", err)
		}
	}
	if err := p.checkMirrors(c.ca); err != nil || len(p.mirrors) == 0 {
		return err
	}
	// What is wrong with a mirror is told before a bundle is read. Which k0s
	// that has is not known yet; one of today takes all forms of a mirror.
	probe := k0s.Version{Major: 1, Minor: 36}
	if c.version != nil {
		probe = *c.version
	}
	if _, err = k0s.MirrorFiles(probe, p.mirrors, nil); err != nil {
		return cli.Misuse("--mirror: %w", err)
	}
	return nil
}

// readConfig reads the k0s.yaml of a controller, and returns what all
// controllers have in common: join.sh adds the other host's own address.
func readConfig(path string) ([]byte, error) {
	text, err := textfile.Read(path)
	if err != nil {
		return nil, err
	}
	if err := k0s.Balanced(text); err != nil {
		return nil, cli.Hint(err, "add one of the two on every host, and restart k0s there; k0rdent-airgap(7) has the steps under Controllers")
	}
	name, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	return k0s.Shared(text, name)
}

// checkMirrors gives each mirror its authority and login.
func (p *packing) checkMirrors(ca string) (err error) {
	if ca != "" {
		if _, p.ca, err = pemfile.Certificates(ca); err != nil {
			return cli.Misuse("--ca: %w", err)
		}
	}
	authorization := ""
	if p.user != "" {
		password, err := textfile.Password(p.secret)
		if err != nil {
			return cli.Misuse("--mirror-password-file: %w", err)
		}
		authorization = k0s.BasicAuth(p.user, password)
	}
	elsewhere, secure := false, false
	for i := range p.mirrors {
		m := &p.mirrors[i]
		elsewhere = elsewhere || !ref.Loopback(m.Host)
		if m.Scheme == "https" {
			secure = true
			m.CA, m.Authorization = p.ca, authorization
		}
	}
	switch {
	case len(p.mirrors) > 0 && !elsewhere:
		return cli.Hint(cli.Misuse("--mirror %s: on another host that is the other host", addresses(p.mirrors)), "name the registry as the network knows it")
	case authorization != "" && !secure:
		return cli.Misuse("--mirror-username: no mirror is https, and a password is not sent in the clear")
	}
	return nil
}

// checkOutput refuses a stdout that an archive must not go to.
func (p *packing) checkOutput(stdout io.Writer) error {
	if p.to != "-" {
		return nil
	}
	if err := cli.CheckStdout(stdout); err != nil {
		return err
	}
	f, ok := stdout.(*os.File)
	if !ok || !p.private() {
		return nil
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return cli.Hint(cli.Misuse("what is packed is secret, and others may read the file that it would go to"), "--export FILE.tar.gz makes one that they may not")
	}
	return err
}

// private tells whether something is packed that only root may read.
func (p *packing) private() bool {
	return len(p.tokenText) > 0 || len(p.configText) > 0 || p.user != ""
}

// An item is one file of what is packed.
type item struct {
	name    string // slash-separated, relative
	mode    fs.FileMode
	content []byte
	program *packed
}

// packed is k0s as an item: too large to be held.
type packed struct {
	io.ReaderAt
	size   int64
	digest [sha256.Size]byte
}

// items lists what is packed, SHA256SUMS last: while it is not there, or is
// that of something else, join.sh does nothing.
func (p *packing) items(f found, k packed) ([]item, error) {
	all := []item{{name: "k0s", mode: programMode, program: &k}}
	var lines strings.Builder
	if len(p.mirrors) > 0 {
		files, err := k0s.MirrorFiles(*f.version, p.mirrors, k0s.DefaultHosts())
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			all = append(all, item{name: strings.TrimPrefix(file.Path, "/"), mode: file.Mode, content: file.Content})
		}
	}
	if len(p.configText) > 0 {
		all = append(all, item{name: strings.TrimPrefix(k0s.ConfigPath, "/"), mode: 0o600, content: p.configText})
	}
	for _, i := range all[1:] {
		fmt.Fprintf(&lines, "%04o %s\n", i.mode, i.name)
	}
	if len(p.ca) > 0 {
		all = append(all, item{name: "ca.crt", mode: 0o644, content: p.ca})
	}
	if len(p.tokenText) > 0 {
		all = append(all, item{name: tokenName, mode: 0o600, content: p.tokenText})
	}
	all = append(all,
		item{name: "join.sh", mode: 0o755, content: p.joinScript(f, lines.String())},
		item{name: "README", mode: 0o644, content: p.readme(f)})
	return append(all, item{name: "SHA256SUMS", mode: 0o644, content: sums(all)}), nil
}

// sums gives the lines that sha256sum -c reads.
func sums(all []item) []byte {
	var b bytes.Buffer
	for _, i := range all {
		sum := sha256.Sum256(i.content)
		if i.program != nil {
			sum = i.program.digest
		}
		fmt.Fprintf(&b, "%x  %s\n", sum, i.name)
	}
	return b.Bytes()
}

// pack writes what another host needs.
func (p *packing) pack(ctx context.Context, f found, stdout io.Writer, out writer, plan bool) error {
	if p.archive() {
		return p.packArchive(ctx, f, stdout, out, plan)
	}
	return p.packDir(f, out, plan)
}
