package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	helper "github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/google/go-containerregistry/pkg/authn"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/textfile"
)

// login is a client's credentials for a registry.
type login struct {
	auth authn.Authenticator
	user string // may be empty if auth is a token
	from string // the file that it comes from
}

var anonymous = login{auth: authn.Anonymous}

func (l login) known() bool { return l.auth != authn.Anonymous }

// logins finds the login for a repository of one registry.
type logins struct {
	host  string
	fixed *login      // for the whole registry
	files []loginFile // otherwise the first of these that has one
}

type loginFile struct {
	cli.LoginFile
	read func() (loginConfig, error)
}

// loginConfig is the part that docker's config.json and podman's auth.json share.
type loginConfig struct {
	Auths       map[string]json.RawMessage `json:"auths"` // each an authn.AuthConfig
	CredHelpers map[string]string          `json:"credHelpers"`
	CredsStore  string                     `json:"credsStore"`
}

// newLogins uses the user and password of the options; without them, login
// files are read when a repository is accessed.
func newLogins(o Options, host string) (logins, error) {
	if err := cli.Together(o.Names.Username, o.Names.PasswordFile, o.Username != "", o.PasswordFile != ""); err != nil {
		return logins{}, err
	}
	if o.Username == "" {
		l := logins{host: host}
		for _, f := range o.LoginFiles {
			l.files = append(l.files, loginFile{f, sync.OnceValues(func() (loginConfig, error) { return readLogins(f) })})
		}
		return l, nil
	}
	password, err := textfile.Password(o.PasswordFile)
	if err != nil {
		return logins{}, cli.Misuse("%s: %w", o.Names.PasswordFile, err)
	}
	auth := authn.FromConfig(authn.AuthConfig{Username: o.Username, Password: password})
	return logins{fixed: &login{auth, o.Username, o.PasswordFile}}, nil
}

// of returns the login for a path below the registry's host: the first file
// that has one decides, and in it the longest key.
func (l logins) of(path string) (login, error) {
	if l.fixed != nil {
		return *l.fixed, nil
	}
	for _, f := range l.files {
		c, err := f.read()
		if err != nil {
			return login{}, err
		}
		entry, err := c.find(l.host, path)
		if err != nil {
			return login{}, cli.Hint(fmt.Errorf("%s: login for %s: %w", f.Path, l.host, err), "log in again, or remove the entry")
		}
		if entry != (authn.AuthConfig{}) {
			return login{authn.FromConfig(entry), entry.Username, f.Path}, nil
		}
	}
	return anonymous, nil
}

// readLogins reads a login file. It returns no logins if the file does not
// exist, or is another user's because HOME is still set after setpriv(1) or
// su(1).
func readLogins(file cli.LoginFile) (c loginConfig, err error) {
	raw, err := textfile.Read(file.Path)
	if file.Named == "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
		return c, nil
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, cli.Hint(fmt.Errorf("%s: %w", file.Named, err), `unset it, or make the file with "podman login --authfile %s REGISTRY"`, file.Path)
	case err != nil && file.Named != "":
		return c, cli.Hint(fmt.Errorf("%s: %w", file.Named, err), "unset it, or set it to a file that this user can read")
	case err != nil:
		return c, cli.Hint(fmt.Errorf("login file: %w", err), "fix or remove it, then log in again")
	case len(raw) == 0:
		return c, nil
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, cli.Hint(fmt.Errorf("login file %s: %w", file.Path, err), "fix or remove it, then log in again")
	}
	return c, nil
}

// find returns the entry with the longest key that names the path or a parent
// of it, or an empty one.
func (c loginConfig) find(host, path string) (authn.AuthConfig, error) {
	for at := strings.TrimSuffix(host+"/"+path, "/"); ; {
		for _, name := range aliasesOf(host, at) {
			if entry, err := c.ask(c.CredHelpers[name], name); err != nil || entry != (authn.AuthConfig{}) {
				return entry, err
			}
			if entry, err := c.entry(name); err != nil || entry != (authn.AuthConfig{}) {
				return entry, err
			}
		}
		above := strings.LastIndexByte(at, '/')
		if above < 0 {
			break
		}
		at = at[:above]
	}
	for _, name := range aliasesOf(host, host) {
		if name == dockerHub {
			name = authn.DefaultAuthKey
		}
		if entry, err := c.ask(c.CredsStore, name); err != nil || entry != (authn.AuthConfig{}) {
			return entry, err
		}
	}
	return authn.AuthConfig{}, nil
}

// entry returns the entry for a name, or an empty one. A key in the current form
// takes precedence; those with a scheme, as docker once wrote them, name a host,
// whatever their path.
func (c loginConfig) entry(name string) (found authn.AuthConfig, err error) {
	for _, key := range slices.Sorted(maps.Keys(c.Auths)) {
		named, current := keyName(key)
		if named != name || !current && found != (authn.AuthConfig{}) {
			continue
		}
		var entry authn.AuthConfig
		if err := json.Unmarshal(c.Auths[key], &entry); err != nil {
			return entry, err
		}
		entry.Password = strings.TrimRight(entry.Password, "\x00") // docker once appended them
		if entry != (authn.AuthConfig{}) {
			found = entry
		}
	}
	return found, nil
}

// dockerHub is the host behind docker.io.
const dockerHub = "index.docker.io"

func aliasesOf(host, at string) []string {
	if host == dockerHub {
		return []string{at, "docker.io" + strings.TrimPrefix(at, host)}
	}
	return []string{at}
}

// keyName returns what a key of a login file names, and whether it has the
// current form, without a scheme.
func keyName(key string) (name string, current bool) {
	if _, rest, found := strings.Cut(key, "://"); found {
		name, _, _ = strings.Cut(rest, "/")
		return name, false
	}
	name = strings.TrimSuffix(key, "/")
	for _, version := range []string{"/v1", "/v2"} {
		name = strings.TrimSuffix(name, version)
	}
	return name, true
}

// ask runs a credential helper.
func (c loginConfig) ask(name, server string) (authn.AuthConfig, error) {
	if name == "" {
		return authn.AuthConfig{}, nil
	}
	found, err := helper.Get(helper.NewShellProgramFunc("docker-credential-"+name), server)
	switch {
	case credentials.IsErrCredentialsNotFound(err):
		return authn.AuthConfig{}, nil
	case err != nil:
		return authn.AuthConfig{}, fmt.Errorf("docker-credential-%s: %w", name, err)
	case found.Username == "<token>":
		return authn.AuthConfig{IdentityToken: found.Secret}, nil
	}
	return authn.AuthConfig{Username: found.Username, Password: found.Secret}, nil
}
