package containerd

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A setup is the configuration for k0s-mirror-config.
type setup struct {
	mirrors  []string // URLs
	ca       []string // files
	user     string   // "" for username
	password string   // of the user, "" for no login
	images   string   // that are used too, one per line
	records  []byte   // on stdin, instead of mirrors and ca
	inward   []string // their targets
}

// generate runs k0s-mirror-config on a host whose / is root, and checks the files
// that are there then.
func generate(t *testing.T, root, k0s string, s setup) {
	t.Helper()
	args := []string{"--quiet", "--root", root, "--k0s-version", k0s}
	for _, m := range s.mirrors {
		args = append(args, "--mirror", m)
	}
	for _, ca := range s.ca {
		args = append(args, "--ca", ca)
	}
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"password": s.password + "\n", "images": s.images})
	if s.password != "" {
		args = append(args, "--username", cmp.Or(s.user, username), "--password-file", filepath.Join(dir, "password"))
	}
	if s.images != "" {
		args = append(args, "--images", filepath.Join(dir, "images"))
	}
	cmd := exec.Command(tool("k0s-mirror-config"), args...)
	cmd.Stdin = strings.NewReader(string(s.records))
	run(t, cmd)

	inward := s.inward
	for _, m := range s.mirrors {
		u, err := url.Parse(m)
		if err != nil {
			t.Fatal(err)
		}
		inward = append(inward, u.Host)
	}
	for _, wrong := range outward(root, two(k0s), inward...) {
		t.Errorf("k0s %s, %v: %s", k0s, s.mirrors, wrong)
	}
}

// two reports whether a k0s has containerd 2.
func two(k0s string) bool {
	var minor int
	fmt.Sscanf(k0s, "v1.%d.", &minor)
	return minor >= 36
}

// configure makes the worker's mirrors those of a setup.
func (w *worker) configure(t *testing.T, s setup) {
	t.Helper()
	generate(t, w.root, w.k0s[len(w.k0s)-1], s)
}

// upgraded changes the k0s of the worker from another's syntax to its own.
func (w *worker) upgraded(t *testing.T) {
	other := "v1.35.4+k0s.0"
	if !w.two {
		other = "v1.36.3+k0s.0"
	}
	s := setup{mirrors: []string{w.site.plain.url(siteIPv4)}}
	for _, k0s := range append([]string{other}, w.k0s...) {
		generate(t, w.root, k0s, s)
	}
	if got := w.configPath(t); got != certs {
		t.Errorf("after a change from k0s %s to %s config_path is %q", other, w.k0s, got)
	}
	w.stop(t)
	w.start(t)
	w.served(t, w.site.plain, "", pause)
	w.missing(t, w.site.plain, "", absent(pause))
}

// wipe removes all mirror configuration.
func (w *worker) wipe(t *testing.T) {
	t.Helper()
	dir := filepath.Join(w.root, certs)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestFiles reads what is written for many setups, one after the other on the
// same hosts: no file leads out of the site, also none of an earlier setup.
func TestFiles(t *testing.T) {
	t.Parallel()
	needTool(t, "k0s-mirror-config")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, newAuthority(t).pem, 0o600); err != nil {
		t.Fatal(err)
	}
	authority := []string{ca}
	setups := []setup{
		{mirrors: []string{"http://10.0.0.5:5000"}},
		{mirrors: []string{"https://10.0.0.5:5000"}, ca: authority},
		{mirrors: []string{"https://10.0.0.5:5000"}, ca: []string{ca, ca}},
		{mirrors: []string{"https://10.0.0.5:5000/k0rdent-enterprise"}, ca: authority},
		{mirrors: []string{"https://registry.site.example/a/b"}},
		{mirrors: []string{"https://registry.site.example:443/a/b"}, ca: authority, password: "x"},
		{mirrors: []string{"https://10.0.0.5"}, ca: authority, password: "wonder \"land\"\\"},
		{mirrors: []string{"https://[fd00::5]:5000"}, ca: authority},
		{mirrors: []string{"http://[fd00::5]"}},
		{mirrors: []string{"https://10.0.0.5:5000", "https://[fd00::5]:5000/p"}, ca: authority, password: "x"},
		{mirrors: []string{"https://10.0.0.5:5000", "https://10.0.0.6:5000"}, ca: authority},
		{mirrors: []string{"http://127.0.0.1:30020", "https://10.0.0.5:5000/k0rdent-enterprise", "https://b.example/mirror/k0rdent-enterprise"}, ca: authority, password: "x"},
		{mirrors: []string{"https://10.0.0.5:5000"}, ca: authority, images: "10.1.2.3:8443/x:v1\nnginx.example/x@sha256:" + strings.Repeat("a", 64) + "\nlocalhost/x:v1\nx:v1\n"},
	}
	for _, k0s := range []string{"v1.27.5+k0s.0", "v1.35.4+k0s.0", "v1.36.1+k0s.0"} {
		root := t.TempDir()
		for _, s := range setups {
			generate(t, root, k0s, s)
		}
	}
}
