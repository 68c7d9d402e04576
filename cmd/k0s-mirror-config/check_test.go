package main

import (
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/registry"
)

// mirrorServer is a real registry that records its requests.
type mirrorServer struct {
	*httptest.Server
	host string
	ca   string // file
	mu   sync.Mutex
	seen []string
}

// serve returns a registry with images, each REPOSITORY:TAG. With a user, whose password is
// "p w", every request requires a login.
func serve(t *testing.T, secure bool, user string, images ...string) *mirrorServer {
	t.Helper()
	store, err := registry.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	h := registry.New(store, registry.Options{})
	s := new(mirrorServer)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		if name, password, _ := r.BasicAuth(); user != "" && (name != user || password != "p w") {
			w.Header().Set("WWW-Authenticate", `Basic realm="site"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
	s.Server = httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes are expected
	if !secure {
		s.Start()
	} else {
		s.StartTLS()
		s.ca = filepath.Join(t.TempDir(), "ca.crt")
		writeFile(t, s.ca, 0o644, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	}
	t.Cleanup(s.Close)
	s.host = s.Listener.Addr().String()
	inside := httptest.NewServer(h)
	defer inside.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	writeFile(t, secret, 0o600, "-")
	push, err := client.New(client.Options{At: strings.TrimPrefix(inside.URL, "http://"), Push: true, Username: "-", PasswordFile: secret})
	if err != nil {
		t.Fatal(err)
	}
	if err := push.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	const index = "application/vnd.oci.image.index.v1+json"
	for _, image := range images {
		repository, tag, _ := strings.Cut(image, ":")
		if err := push.PutManifest(t.Context(), repository, tag, index, []byte(`{"schemaVersion":2,"mediaType":"`+index+`","manifests":[]}`)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// imageRoot returns a host's tree with a k0s that lists these images.
func imageRoot(t *testing.T, images ...string) string {
	t.Helper()
	root := t.TempDir()
	writeFile(t, root+k0s.BinaryPath, 0o755, "#!/bin/sh\ncase \"$*\" in\nversion) echo "+current+" ;;\n\"airgap list-images\") printf '%s\\n' "+strings.Join(images, " ")+" ;;\nesac\n")
	return root
}

const (
	coredns = "quay.io/k0sproject/coredns:1.12.2"
	pause   = "registry.k8s.io/pause:3.9"
	busybox = "busybox:1.37.0"
)

// TestCheck checks the requests to a registry with its own authority, a prefix and a login:
// they must be for the paths that containerd requests.
func TestCheck(t *testing.T) {
	s := serve(t, true, "puller", "p/k0sproject/coredns:1.12.2", "p/k8s/pause:3.9", "p/k8s/pause:3.10", "p/library/busybox:1.36.0", "p/charts/x:1")
	password := filepath.Join(t.TempDir(), "password")
	writeFile(t, password, 0o600, "p w\n")
	root := imageRoot(t, coredns, pause)
	images := filepath.Join(t.TempDir(), "images")
	own := s.host + "/p/k0sproject/coredns:1.12.2"
	writeFile(t, images, 0o644, busybox+"\n"+own+"\nnvcr.io/none/such:1\n"+coredns+"\n")
	flags := []string{"--mirror", s.URL + "/p", "--ca", s.ca, "--username", "puller", "--password-file", password}
	records := `{"kind":"image","repository":"charts/x","tag":"1"}` + "\n" + `{"kind":"image","repository":"charts/x","tag":"2"}` + "\n"

	o := start(t, root, records, append(flags, "--check", "--images", images)...)
	if o.code() != cli.CodeFailed || !strings.Contains(o.err.Error(), "4 of 7 images are not at the mirror") {
		t.Errorf("code %d, %v, want 4 of 7 missing\n%s", o.code(), o.err, o.out)
	}
	for reference, want := range map[string]record.Image{
		coredns:               {Repository: "p/k0sproject/coredns", Tag: "1.12.2", Status: record.StatusExists},
		own:                   {Repository: "p/k0sproject/coredns", Tag: "1.12.2", Status: record.StatusExists},
		"charts/x:1":          {Repository: "p/charts/x", Tag: "1", Status: record.StatusExists},
		"charts/x:2":          {Repository: "p/charts/x", Tag: "2", Status: record.StatusFailed, Error: "the nearest match is p/charts/x:1"},
		pause:                 {Repository: "p/pause", Tag: "3.9", Status: record.StatusFailed, Error: s.host + " has no p/pause:3.9; the nearest match is p/k8s/pause:3.9"},
		busybox:               {Repository: "p/library/busybox", Tag: "1.37.0", Status: record.StatusFailed, Error: "the nearest match is p/library/busybox:1.36.0"},
		"nvcr.io/none/such:1": {Repository: "p/none/such", Tag: "1", Status: record.StatusFailed, Error: "has no p/none/such:1"},
	} {
		got, found := o.images[reference]
		if !found { // docker.io is spelt out
			got = o.images["docker.io/library/"+reference]
		}
		if got.Registry != s.host || got.Repository != want.Repository || got.Tag != want.Tag || got.Status != want.Status ||
			!strings.Contains(got.Error, want.Error) || (got.Digest != "") != (want.Status == record.StatusExists) {
			t.Errorf("%s: %+v, want %+v", reference, got, want)
		}
	}
	if want := "hint: add the missing names, which sends no content: oci-push --to " + s.host + " --alias p/k8s/pause:3.9=p/pause:3.9\n"; !strings.HasSuffix(o.stderr, want) {
		t.Errorf("stderr %q, want at its end %q", o.stderr, want)
	}
	if _, err := os.Stat(root + "/etc"); err == nil {
		t.Error("a check has written something")
	}
	if asked := []string{"HEAD /v2/p/pause/manifests/3.9", "HEAD /v2/p/library/busybox/manifests/1.37.0", "HEAD /v2/p/k0sproject/coredns/manifests/1.12.2"}; !containsAll(s.seen, asked) {
		t.Errorf("asked %q, want %q among it", s.seen, asked)
	}

	// The same with only what is on the host, without flags or records.
	ok(t, root, "", flags...)
	o = start(t, root, "", "--check")
	if o.code() != cli.CodeFailed || o.images[coredns].Status != record.StatusExists || !strings.Contains(o.images[pause].Error, "the nearest match is p/k8s/pause:3.9") {
		t.Errorf("check of the host: code %d, %+v\n%s", o.code(), o.images, o.stderr)
	}
	// The command in the hint solves it.
	s.seen = nil
	alias := serve(t, true, "", "p/k0sproject/coredns:1.12.2", "p/pause:3.9")
	ok(t, root, "", "--mirror", alias.URL+"/p", "--ca", alias.ca)
	if o := ok(t, root, "", "--check"); o.sum.Counts[record.StatusExists] != 2 || o.stderr != "" {
		t.Errorf("%s, stderr %q, want both there and no word", o.counts(), o.stderr)
	}
	if len(s.seen) > 0 {
		t.Errorf("the mirror of before was asked: %q", s.seen)
	}
}

// If a tag no longer has the digest of its record, it is not what was verified, even if a
// later mirror has that: containerd uses the first mirror.
func TestCheckOfATagThatMoved(t *testing.T) {
	s := serve(t, false, "", "charts/x:1")
	image := func(digit string) string {
		return `{"kind":"image","repository":"charts/x","tag":"1","digest":"sha256:` + strings.Repeat(digit, 64) + `"}` + "\n"
	}
	o := start(t, imageRoot(t), image("1"), "--check", "--mirror", s.URL)
	got := o.images["charts/x:1"]
	want := regexp.MustCompile(`^` + s.host + `/charts/x:1: the tag has moved: the registry has (sha256:[0-9a-f]{64}), but sha256:1{64} was pushed$`)
	found := want.FindStringSubmatch(got.Error)
	if o.code() != cli.CodeFailed || got.Status != record.StatusFailed || found == nil || !strings.Contains(o.stderr, "hint: push the verified bundle again") {
		t.Fatalf("code %d, %+v, stderr %q, want both digests", o.code(), got, o.stderr)
	}
	if want := "1 of 1 images failed: 1 with another digest"; o.err.Error() != want {
		t.Errorf("error %q, want %q", o.err, want)
	}
	absent := `{"kind":"image","repository":"charts/y","tag":"1"}` + "\n"
	o = start(t, imageRoot(t), image("1")+absent, "--check", "--mirror", s.URL)
	if want := "2 of 2 images failed: 1 is not at the mirror, 1 with another digest"; o.err == nil || o.err.Error() != want {
		t.Errorf("error %v, want %q", o.err, want)
	}
	o = start(t, imageRoot(t), image("1")+absent, "--check", "--mirror", "https://"+s.host)
	if want := "2 of 2 images failed: 2 not checked"; o.err == nil || o.err.Error() != want {
		t.Errorf("error %v, want %q", o.err, want)
	}
	other := serve(t, false, "", "charts/x:1")
	if o := start(t, imageRoot(t), image("1"), "--check", "--mirror", s.URL, "--mirror", other.URL); o.code() != cli.CodeFailed {
		t.Errorf("with a second mirror: code %d, %s", o.code(), o.counts())
	}
	// The last record counts, since it is the last push.
	last := image("1") + strings.ReplaceAll(image("1"), "sha256:"+strings.Repeat("1", 64), found[1])
	if o := start(t, imageRoot(t), last, "--check", "--mirror", s.URL); o.code() != 0 {
		t.Errorf("after a second push: code %d, %v", o.code(), o.err)
	}
}

func containsAll(seen, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(seen, w) })
}

// TestCheckReportsWhatIsWrong: each cause of an ImagePullBackOff has its own message.
func TestCheckReportsWhatIsWrong(t *testing.T) {
	secure := serve(t, true, "", "k0sproject/coredns:1.12.2")
	plain := serve(t, false, "", "k0sproject/coredns:1.12.2")
	locked := serve(t, true, "puller", "k0sproject/coredns:1.12.2")
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<title>Sign in</title>")
	}))
	t.Cleanup(page.Close)
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(busy.Close)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	tests := []struct {
		name string
		args []string
		code int
		want string // in the record
	}{
		{"a page", []string{"--mirror", page.URL}, cli.CodeFailed, "not a registry: it answers with text/html"},
		{"busy", []string{"--mirror", busy.URL}, cli.CodeTryAgain, "503 Service Unavailable"},
		{"silent", []string{"--mirror", "http://" + silent.Addr().String(), "--answer-timeout", "1s"}, cli.CodeTryAgain, "no answer within 1s"},
		{"unknown authority", []string{"--mirror", secure.URL}, cli.CodeFailed, "unknown authority"},
		{"TLS mirror is plain", []string{"--mirror", "https://" + plain.host}, cli.CodeFailed, "the registry speaks plain HTTP"},
		{"plain mirror has TLS", []string{"--mirror", "http://" + secure.host}, cli.CodeFailed, "speaks HTTPS"},
		{"no login", []string{"--mirror", locked.URL, "--ca", locked.ca}, cli.CodeFailed, "401 Unauthorized"},
		{"wrong prefix", []string{"--mirror", plain.URL + "/q"}, cli.CodeFailed, "has no q/k0sproject/coredns:1.12.2; the nearest match is k0sproject/coredns:1.12.2"},
		{"nobody there", []string{"--mirror", closed.URL}, cli.CodeTryAgain, "connection refused"},
		{"first one down", []string{"--mirror", closed.URL + "," + plain.URL}, cli.CodeDone, ""},
		{"first one lacks it", []string{"--mirror", plain.URL + "/q," + plain.URL}, cli.CodeDone, ""},
	}
	// A program that is written while another test starts one is busy.
	root := imageRoot(t, coredns)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := start(t, root, "", append(tt.args, "--check")...)
			if i := o.images[coredns]; o.code() != tt.code || !strings.Contains(i.Error, tt.want) || (i.Status == record.StatusExists) != (tt.code == 0) {
				t.Errorf("code %d, %v, %+v, want %d and %q", o.code(), o.err, i, tt.code, tt.want)
			}
			if tt.code != cli.CodeDone && tt.name != "wrong prefix" && !strings.Contains(o.stderr, "\nhint: ") {
				t.Errorf("no hint in %q", o.stderr)
			}
			if tt.name == "first one down" && !strings.Contains(o.stderr, "connection refused; each pull fails there") {
				t.Errorf("stderr %q, want a message about the mirror that is down", o.stderr)
			}
		})
	}
}

// TestCheckOfTheHost finds what keeps containerd from using the mirror at all.
func TestCheckOfTheHost(t *testing.T) {
	s := serve(t, false, "", "k0sproject/coredns:1.12.2", "k0sproject/coredns:1.11.0")
	tests := []struct {
		name   string
		spoil  func(t *testing.T, root string)
		path   string // of a file's record
		reason string // in it, or in the image's
	}{
		{"nothing configured", func(t *testing.T, root string) { os.RemoveAll(root + "/etc") }, "", "no mirrors are configured"},
		{"drop-in gone", func(t *testing.T, root string) { os.Remove(root + k0s.DropInPath) }, k0s.DropInPath, "missing, so containerd"},
		{"drop-in of the k0s before", func(t *testing.T, root string) {
			writeFile(t, root+k0s.DropInPath, 0o644, k0s.Marker+"\n"+grpc1+"config_path = '/etc/k0s/certs.d'")
		}, k0s.DropInPath, "does not start with it"},
		{"drop-in of somebody else", func(t *testing.T, root string) {
			writeFile(t, root+k0s.DropInDir+"/zz.toml", 0o644, images2+"config_path = '/x'")
		}, k0s.DropInDir + "/zz.toml", "but it must be"},
		{"file that cannot be read", func(t *testing.T, root string) {
			writeFile(t, root+k0s.CertsDir+"/quay.io/hosts.toml", 0o644, "server = ")
		}, "", "containerd contacts quay.io itself, since it cannot read"},
		{"directory without a file", func(t *testing.T, root string) { os.Remove(root + k0s.CertsDir + "/quay.io/hosts.toml") }, "", "containerd contacts quay.io itself"},
		{"no server", func(t *testing.T, root string) {
			writeFile(t, root+k0s.CertsDir+"/quay.io/hosts.toml", 0o644, "[host.'"+s.URL+"']\n")
		}, "", ""}, // it has the image, so no other registry is contacted
		{"certificate gone", func(t *testing.T, root string) {
			writeFile(t, root+k0s.CertsDir+"/quay.io/hosts.toml", 0o644, "server = 'https://"+s.host+"'\nca = ['ca.crt']\n[host]\n")
		}, "", "ca.crt: no such file"},
		{"not a path", func(t *testing.T, root string) {
			writeFile(t, root+k0s.CertsDir+"/quay.io/hosts.toml", 0o644, "server = '"+s.URL+"/p'\n[host]\n")
		}, "", "with a prefix the path must be /v2/PREFIX"},
		{"spelt the other way", func(t *testing.T, root string) {
			writeFile(t, root+k0s.CertsDir+"/quay.io/hosts.toml", 0o644, "server = '"+s.URL+"'\n[host]\n")
		}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := imageRoot(t, coredns)
			ok(t, root, "", "--mirror", s.URL)
			tt.spoil(t, root)
			o := start(t, root, "", "--check")
			if tt.reason == "" {
				if o.err != nil || o.images[coredns].Status != record.StatusExists {
					t.Errorf("%v, %+v, want it to exist", o.err, o.images)
				}
				return
			}
			text := o.images[coredns].Error + o.files[tt.path].Error
			if o.err != nil && len(o.images) == 0 {
				text += o.err.Error()
			}
			if o.code() != cli.CodeFailed || !strings.Contains(text, tt.reason) {
				t.Errorf("code %d, %v, %q, want 1 and %q", o.code(), o.err, text, tt.reason)
			}
		})
	}
}

// TestSysinfo: only k0s's verdicts on drop-ins count, not those on the rest of the host.
func TestSysinfo(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "k0s")
	writeFile(t, binary, 0o755, `#!/bin/sh
cat <<'END'
Operating system: Linux (pass)
  Executable in PATH: modprobe: (error: not found)
  Containerd config snippet: cri-registry.toml: /etc/k0s/containerd.d/cri-registry.toml (pass)
  Containerd config snippet: a.toml: /etc/k0s/containerd.d/a.toml (rejected: unsupported configuration version: expected 3, got 2)
END
exit 1
`)
	for version, want := range map[string]int{current: 1, old: 0} {
		v, err := k0s.ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		c := &checker{tool: &tool{cfg: &config{root: "/", k0s: binary}, binary: k0s.Binary{Path: binary}}}
		s := new(survey)
		if err := c.sysinfo(t.Context(), s, v); err != nil || len(s.conflicts) != want {
			t.Errorf("%s: %+v, %v, want %d", version, s.conflicts, err, want)
		}
		if want == 1 && (s.conflicts[0].path != "/etc/k0s/containerd.d/a.toml" || !strings.Contains(s.conflicts[0].reason, "expected 3, got 2")) {
			t.Errorf("%+v, want the file and k0s's words", s.conflicts[0])
		}
	}
}
