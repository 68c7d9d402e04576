package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	standin "k0rdent-airgap/tests/k0s"
)

// authority makes a certificate.
func authority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// site has the files that an operator packs.
type site struct{ dir, bundle, ca, worker, controller, config, password string }

func newSite(t *testing.T, version string) site {
	t.Helper()
	dir := t.TempDir()
	s := site{dir, writeBundle(t, "tar.gz", k0sAt(version, image1(t, version))), dir + "/ca.crt", dir + "/worker", dir + "/controller", dir + "/k0s.yaml", dir + "/password"}
	writeFile(t, s.ca, authority(t), 0o644)
	writeFile(t, s.worker, []byte(standin.Token("kubelet-bootstrap", "https://10.0.0.1:6443")), 0o600)
	writeFile(t, s.controller, []byte(standin.Token("controller-bootstrap", "https://10.0.0.1:6443")), 0o600)
	writeFile(t, s.config, []byte("spec: {api: {address: 10.0.0.5, externalAddress: api.site.example}}\n"), 0o600)
	writeFile(t, s.password, []byte("secret\n"), 0o600)
	return s
}

// packedFile is one file of an archive.
type packedFile struct {
	mode    int64
	content []byte
}

// unpack reads an archive whose files all lie below one directory.
func unpack(t *testing.T, p []byte) (top string, files map[string]packedFile, order []string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]packedFile{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return top, files, order
		}
		if err != nil {
			t.Fatal(err)
		}
		dir, name, _ := strings.Cut(h.Name, "/")
		if top != "" && dir != top {
			t.Errorf("%s is outside of %s", h.Name, top)
		}
		top = dir
		if h.Typeflag == tar.TypeDir {
			if h.Mode != 0o755 {
				t.Errorf("%s has mode %o, want 755", h.Name, h.Mode)
			}
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = packedFile{h.Mode, content}
		order = append(order, name)
	}
}

// TestExport packs for a worker and for controllers, of either containerd.
func TestExport(t *testing.T) {
	for _, tt := range []struct {
		version, role string
		table         string // that the drop-in sets
		private       bool
	}{
		{v132, k0s.RoleWorker, "io.containerd.grpc.v1.cri", false},
		{"v1.36.3+k0s.2", k0s.RoleWorker, "io.containerd.cri.v1.images", true},
		{v132, k0s.RoleController, "io.containerd.grpc.v1.cri", true},
		{v132, roleBoth, "io.containerd.grpc.v1.cri", true},
	} {
		s := newSite(t, tt.version)
		to := filepath.Join(t.TempDir(), "a.tar.gz")
		args := []string{"--export", to, "--role", tt.role, "--mirror", "https://10.0.0.5:5000/site,https://[fd00::5]:5000", "--ca", s.ca}
		if tt.private {
			args = append(args, "--token-file", map[bool]string{true: s.worker, false: s.controller}[tt.role == k0s.RoleWorker])
		}
		if tt.role != k0s.RoleWorker {
			args = append(args, "--k0s-yaml", s.config)
		}
		out, _, err := run1(t, nil, append(args, s.bundle)...)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		mode := map[bool]string{true: "0600", false: "0644"}[tt.private]
		if r := records(t, out); len(r) != 1 || r[0] != (record.File{Path: to, Mode: mode, Size: int64(len(raw)), Digest: digestOf(raw), Status: record.StatusWritten,
			Version: tt.version, Platform: "linux/amd64", Source: r[0].Source}) || !strings.HasPrefix(r[0].Source, "bundle ") {
			t.Errorf("%+v, want the archive with mode %s", r, mode)
		}
		if info, err := os.Stat(to); err != nil || fmt.Sprintf("%04o", info.Mode().Perm()) != mode {
			t.Errorf("mode %v, %v, want %s", info.Mode(), err, mode)
		}
		top, files, order := unpack(t, raw)
		if want := "k0s-" + tt.role + "-" + tt.version + "-amd64"; top != want {
			t.Errorf("top directory %s, want %s", top, want)
		}
		checkPacked(t, files, order)
		if !bytes.Equal(files["k0s"].content, k0sFor(tt.version)) {
			t.Error("k0s is not the one of the bundle")
		}
		dropIn := string(files["etc/k0s/containerd.d/cri-registry.toml"].content)
		if !strings.Contains(dropIn, tt.table) || !strings.Contains(dropIn, `"/etc/k0s/certs.d"`) {
			t.Errorf("drop-in %q, want %s", dropIn, tt.table)
		}
		if hosts := string(files["etc/k0s/certs.d/_default/hosts.toml"].content); !strings.Contains(hosts, "10.0.0.5:5000") || !strings.Contains(hosts, `server = "https://[fd00::5]:5000"`) {
			t.Errorf("hosts.toml %q, want both mirrors", hosts)
		}
		if _, there := files["token"]; there != tt.private {
			t.Errorf("token is there: %v, want %v", there, tt.private)
		}
		if _, there := files["etc/k0s/k0s.yaml"]; there != (tt.role != k0s.RoleWorker) {
			t.Errorf("%s: k0s.yaml is there: %v", tt.role, there)
		}
		script := string(files["join.sh"].content)
		for _, line := range []string{"version='" + tt.version + "'", "arch='amd64'", "role='" + tt.role + "'"} {
			if !strings.Contains(script, "\n"+line+"\n") {
				t.Errorf("join.sh lacks %s", line)
			}
		}
		if strings.Contains(script, "@VERSION@") || strings.Contains(script, "@FILES@") {
			t.Error("join.sh still has a placeholder")
		}
	}
}

// checkPacked compares SHA256SUMS, which join.sh goes by, with what is there.
func checkPacked(t *testing.T, files map[string]packedFile, order []string) {
	t.Helper()
	if order[len(order)-1] != "SHA256SUMS" {
		t.Errorf("the last file is %s, want SHA256SUMS", order[len(order)-1])
	}
	var want []string
	for _, name := range order[:len(order)-1] {
		want = append(want, strings.TrimPrefix(digestOf(files[name].content), "sha256:")+"  "+name+"\n")
	}
	if got := string(files["SHA256SUMS"].content); got != strings.Join(want, "") {
		t.Errorf("SHA256SUMS\n%swant\n%s", got, strings.Join(want, ""))
	}
	for name, f := range files {
		want := int64(0o644)
		switch {
		case name == "k0s" || name == "join.sh":
			want = 0o755
		case name == "token" || name == "etc/k0s/k0s.yaml":
			want = 0o600
		}
		if f.mode != want {
			t.Errorf("%s has mode %04o, want %04o", name, f.mode, want)
		}
		if strings.HasPrefix(name, "etc/") && !strings.Contains(string(files["join.sh"].content), fmt.Sprintf("%04o %s", f.mode, name)) {
			t.Errorf("join.sh does not put %s in place with mode %04o", name, f.mode)
		}
	}
}

// TestExportIsReproducible: the same content makes the same bytes, to a file
// or a pipe, and the time is the one that was asked for.
func TestExportIsReproducible(t *testing.T) {
	s := newSite(t, v132)
	args := []string{"--mirror", "https://10.0.0.5:5000", "--ca", s.ca, "--mirror-username", "u", "--mirror-password-file", s.password}
	to := filepath.Join(t.TempDir(), "a.tar.gz")
	for _, want := range []string{record.StatusPlanned, record.StatusWritten, record.StatusUnchanged} {
		flags := slices.Clone(args)
		if want == record.StatusPlanned {
			flags = append(flags, "--plan")
		}
		out, _, err := run1(t, nil, append(flags, "--export", to, s.bundle)...)
		if err != nil || records(t, out)[0].Status != want {
			t.Errorf("%v, %s, want it %s", err, out, want)
		}
		if _, err := os.Stat(to); (err == nil) == (want == record.StatusPlanned) {
			t.Errorf("%s: %v", want, err)
		}
	}
	first, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	piped, _, err := run1(t, nil, append(args, "--export", "-", s.bundle)...)
	if err != nil || piped != string(first) {
		t.Errorf("through a pipe: %d bytes, %v, want the same %d", len(piped), err, len(first))
	}
	if got := names(t, filepath.Dir(to)); got != "a.tar.gz" {
		t.Errorf("left behind: %s", got)
	}
	_, files, _ := unpack(t, first)
	hosts := files["etc/k0s/certs.d/_default/hosts.toml"]
	if !strings.Contains(string(hosts.content), "Basic "+base64.StdEncoding.EncodeToString([]byte("u:secret"))) || hosts.mode != 0o600 {
		t.Errorf("hosts.toml with mode %04o: %s, want the login, for root alone", hosts.mode, hosts.content)
	}
	if info, _ := os.Stat(to); info.Mode().Perm() != 0o600 {
		t.Errorf("an archive with a password has mode %v", info.Mode())
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	dated, _, err := run1(t, nil, append(args, "--export", "-", s.bundle)...)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(strings.NewReader(dated))
	if err != nil {
		t.Fatal(err)
	}
	if h, err := tar.NewReader(z).Next(); err != nil || h.ModTime.Unix() != 1700000000 {
		t.Errorf("time %v, %v, want that of SOURCE_DATE_EPOCH", h.ModTime, err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "today")
	if _, _, err := run1(t, nil, append(args, "--export", "-", s.bundle)...); !cli.IsMisuse(err) {
		t.Errorf("%v, want misuse", err)
	}
}

// TestExportToDirectory: written, left alone, changed; a token of an earlier
// run goes.
func TestExportToDirectory(t *testing.T) {
	s := newSite(t, v132)
	dir := filepath.Join(t.TempDir(), "worker")
	export := func(args ...string) map[string]string {
		t.Helper()
		out, _, err := run1(t, nil, append(args, "--export", dir, "--mirror", "https://10.0.0.5:5000", "--ca", s.ca, s.bundle)...)
		if err != nil {
			t.Fatal(err)
		}
		statuses := map[string]string{}
		for _, r := range records(t, out) {
			name, err := filepath.Rel(dir, r.Path)
			if err != nil {
				t.Fatal(err)
			}
			statuses[name] = r.Status
		}
		return statuses
	}
	all := func(statuses map[string]string, want string, but map[string]string) {
		t.Helper()
		for name, status := range statuses {
			if but[name] != "" && status == but[name] {
				continue
			}
			if status != want || but[name] != "" {
				t.Errorf("%s is %s, want %s", name, status, want+but[name])
			}
		}
		if len(statuses) < 20 {
			t.Errorf("%d files, want all that is packed", len(statuses))
		}
	}
	all(export("--plan", "--token-file", s.worker), record.StatusPlanned, nil)
	if _, err := os.Stat(dir); err == nil {
		t.Error("--plan made the directory")
	}
	all(export("--token-file", s.worker), record.StatusWritten, nil)
	if info, err := os.Stat(filepath.Join(dir, "token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token: %v, %v, want it for root alone", info.Mode(), err)
	}
	all(export("--token-file", s.worker), record.StatusUnchanged, nil)
	all(export(), record.StatusUnchanged, map[string]string{"README": record.StatusWritten, "SHA256SUMS": record.StatusWritten, "token": record.StatusRemoved})
	if _, err := os.Stat(filepath.Join(dir, "token")); err == nil {
		t.Error("the token of the run before is still there")
	}
}

// TestExportRefuses: what must not be packed, or not there.
func TestExportRefuses(t *testing.T) {
	s := newSite(t, v132)
	to := filepath.Join(t.TempDir(), "a.tar.gz")
	for name, tt := range map[string]struct{ args, want string }{
		"a controller's token for a worker": {"--token-file " + s.controller, "it is for a controller, not for a worker"},
		"a worker's token for a controller": {"--role controller --k0s-yaml " + s.config + " --token-file " + s.worker, "it is for a worker, not for a controller"},
		"no certificate":                    {"--mirror https://10.0.0.5:5000 --ca " + s.config, "no certificate or key"},
		"a password in the clear":           {"--mirror http://10.0.0.5:5000 --mirror-username u --mirror-password-file " + s.password, "not sent in the clear"},
		"another architecture":              {"--platform linux/arm64", "holds linux/amd64, not linux/arm64"},
	} {
		_, _, err := run1(t, nil, append(strings.Fields(tt.args), "--export", to, s.bundle)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if got := names(t, filepath.Dir(to)); got != "" {
		t.Errorf("left behind: %s", got)
	}
	open, err := os.OpenFile(filepath.Join(t.TempDir(), "out"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for args, refused := range map[string]bool{"--token-file " + s.worker: true, "": false} {
		err := runAs(t.Context(), embedded{}, append(strings.Fields(args), "--export", "-", s.bundle), strings.NewReader(""), open, io.Discard)
		if cli.IsMisuse(err) != refused || !refused && err != nil {
			t.Errorf("%q into a file that others may read: %v, want refused %v", args, err, refused)
		}
	}
}
