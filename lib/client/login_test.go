package client

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"k0rdent-airgap/lib/cli"
)

// auth is an entry as "podman login" writes it.
func auth(user string) string {
	return fmt.Sprintf(`{"auth":%q}`, base64.StdEncoding.EncodeToString([]byte(user+":secret-of-"+user)))
}

// loginFileOf writes a login file.
func loginFileOf(t *testing.T, text string) cli.LoginFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return cli.LoginFile{Path: path}
}

func TestLoginsOfPodmanAndDocker(t *testing.T) {
	helpers := t.TempDir()
	script := "#!/bin/sh\nread -r server\ncase $server in\n" +
		"reg.site:5000) echo '{\"Username\":\"helped\",\"Secret\":\"secret-of-helped\"}' ;;\n" +
		"token.site) echo '{\"Username\":\"<token>\",\"Secret\":\"identity\"}' ;;\n" +
		"broken.site) echo 'the vault is sealed'; exit 1 ;;\n" +
		"*) echo 'credentials not found in native keychain'; exit 1 ;;\nesac\n"
	if err := os.WriteFile(filepath.Join(helpers, "docker-credential-test"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", helpers+":"+os.Getenv("PATH"))
	for _, tt := range []struct {
		name, at string
		files    []string
		want     string // user; "" is nobody
	}{
		{"host and port", "reg.site:5000", []string{`{"auths":{"reg.site:5000":` + auth("u") + `}}`}, "u"},
		{"another port", "reg.site:5001", []string{`{"auths":{"reg.site:5000":` + auth("u") + `}}`}, ""},
		{"second file", "reg.site", []string{`{"auths":{}}`, "", `{"auths":{"reg.site":` + auth("u") + `}}`}, "u"},
		{"first file wins", "reg.site", []string{`{"auths":{"reg.site":` + auth("a") + `}}`, `{"auths":{"reg.site":` + auth("b") + `}}`}, "a"},
		{"empty entry of a helper that is gone", "reg.site", []string{`{"auths":{"reg.site":{}}}`, `{"auths":{"reg.site":` + auth("b") + `}}`}, "b"},
		{"longest path", "reg.site/team/a", []string{`{"auths":{"reg.site":` + auth("host") + `,"reg.site/team":` + auth("team") + `,"reg.site/team/abc":` + auth("abc") + `}}`}, "team"},
		{"path of others", "reg.site/x", []string{`{"auths":{"reg.site/team":` + auth("team") + `}}`}, ""},
		{"scheme and version", "reg.site", []string{`{"auths":{"https://reg.site/v2/":` + auth("u") + `}}`}, "u"},
		{"old key and an empty current one", "reg.site", []string{`{"auths":{"https://reg.site/v1/":` + auth("u") + `,"reg.site":{}}}`}, "u"},
		{"old and current key", "reg.site", []string{`{"auths":{"https://reg.site/v1/":` + auth("old") + `,"reg.site":` + auth("u") + `}}`}, "u"},
		{"docker hub", "docker.io/a", []string{`{"auths":{"https://index.docker.io/v1/":` + auth("hub") + `}}`}, "hub"},
		{"docker hub of podman", "docker.io/a", []string{`{"auths":{"docker.io":` + auth("hub") + `}}`}, "hub"},
		{"name and password apart", "reg.site", []string{`{"auths":{"reg.site":{"username":"u","password":"secret-of-u"}}}`}, "u"},
		{"helper of a host", "reg.site:5000", []string{`{"auths":{"reg.site:5000":{}},"credHelpers":{"reg.site:5000":"test"}}`}, "helped"},
		{"helper of all", "reg.site:5000", []string{`{"credsStore":"test"}`}, "helped"},
		{"helper that does not know it", "other.site", []string{`{"credsStore":"test"}`, `{"auths":{"other.site":` + auth("u") + `}}`}, "u"},
		{"token of a helper", "token.site", []string{`{"credsStore":"test"}`}, "<token>"},
		{"none", "reg.site", nil, ""},
	} {
		o := Options{At: tt.at, Names: testNames}
		for _, text := range tt.files {
			o.LoginFiles = append(o.LoginFiles, loginFileOf(t, text))
		}
		o.LoginFiles = append(o.LoginFiles, cli.LoginFile{Path: "/nonexistent/auth.json"})
		r, err := New(o)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		l, err := r.logins.of(r.prefix)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got, err := authn.Authorization(t.Context(), l.auth)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case tt.want == "" && !l.known():
		case tt.want == "<token>" && got.IdentityToken == "identity":
		case tt.want != "" && got.Username == tt.want && got.Password == "secret-of-"+tt.want:
		default:
			t.Errorf("%s: login %+v, want that of %q", tt.name, got, tt.want)
		}
	}
}

// A login file that cannot be read is an error.
func TestBrokenLoginFilesAreErrors(t *testing.T) {
	for name, f := range map[string]cli.LoginFile{
		"no JSON":          loginFileOf(t, "{"),
		"no base64":        loginFileOf(t, `{"auths":{"reg.site":{"auth":"%%%"}}}`),
		"no password":      loginFileOf(t, `{"auths":{"reg.site":{"auth":"dQ=="}}}`),
		"absent helper":    loginFileOf(t, `{"credsStore":"nonexistent"}`),
		"named, absent":    {Path: "/nonexistent/auth.json", Named: "REGISTRY_AUTH_FILE"},
		"is a directory":   {Path: t.TempDir()},
		"named, directory": {Path: t.TempDir(), Named: "REGISTRY_AUTH_FILE"},
	} {
		r, err := New(Options{At: "reg.site", Names: testNames, LoginFiles: []cli.LoginFile{f}})
		if err == nil || !strings.Contains(err.Error(), f.Path) || cli.Code(err) != cli.CodeFailed || cli.HintOf(err) == "" {
			t.Errorf("%s: New = %v, %v (hint %q), want an error that names the file, and a hint", name, r, err, cli.HintOf(err))
		}
	}
}

// Each repository gets the login of the longest key above it.
func TestLoginsByRepository(t *testing.T) {
	r, err := New(Options{At: "reg.site", Names: testNames, LoginFiles: []cli.LoginFile{
		loginFileOf(t, `{"auths":{"reg.site/charts":`+auth("charts")+`,"reg.site":`+auth("all")+`}}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for repository, want := range map[string]string{"charts/a": "charts", "charts": "charts", "chartsx/a": "all", "b": "all", "": "all"} {
		if l, err := r.logins.of(repository); err != nil || l.user != want {
			t.Errorf("login for %q = %q, %v, want %q", repository, l.user, err, want)
		}
	}
}
