package browser

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// root is the project, seen from this directory.
const root = "../.."

// host is what the browser calls the registry.
const host = "registry.site.example"

// skip skips a test, by name, since a part of it is missing; in CI none may be.
func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf("NOT CHECKED: "+format, args...)
}

// tool returns the path of a program of the project.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "bin", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		skip(t, "%v (make build brings it)", err)
	}
	return path
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// site is a registry with an authority of its own and two releases in it.
type site struct {
	t       *testing.T
	address string
	ca      string // the file
	client  *http.Client
}

func newSite(t *testing.T) *site {
	t.Helper()
	serve, push, dir := tool(t, "oci-serve"), tool(t, "oci-push"), t.TempDir()
	storage := filepath.Join(dir, "storage")
	cmd := exec.Command(serve, "--host", "127.0.0.1", "--port", "0", "--storage", storage, "--tls", "auto", "--tls-name", host)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var record struct{ Address, CA string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &record)
	}
	if err != nil {
		t.Fatalf("no registry record: %v", err)
	}
	mkbundle := filepath.Join(dir, "mkbundle")
	run(t, "go", "build", "-C", root, "-o", mkbundle, "./tests/samplebundle/cmd/mkbundle")
	for i, release := range []string{"1.2.3", "1.3.0"} {
		bundle := filepath.Join(dir, release+".tar")
		run(t, mkbundle, "--out", bundle, "--format", "tar", "--size", "30MiB", "--release", release, "--seed", fmt.Sprint(i))
		run(t, push, "--to", record.Address+"/k0rdent-enterprise", "--ca", record.CA, "--quiet", bundle)
	}
	pem, err := os.ReadFile(record.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &site{t, record.Address, record.CA, &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}
}

// get gets a path as a browser does.
func (s *site) get(path string) []byte {
	s.t.Helper()
	r, err := http.NewRequest("GET", "https://"+s.address+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	resp, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s = %d %s, %v", path, resp.StatusCode, text, err)
	}
	return text
}

// tab is a tab of a browser that can reach the registry and nothing else.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // what the browser complained about
}

func (s *site) open() *tab {
	s.t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		skip(s.t, "%v (tests/setup.sh brings it)", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	s.t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "") // a socket in there has a path of 100 characters at most
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			s.t.Error(err)
		}
	})
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.Env("HOME="+dir, "TMPDIR="+dir, "FONTCONFIG_FILE="+fonts(s.t, dir)),
		chromedp.Flag("headless", "new"),
		chromedp.NoSandbox, // the tests run as root
		chromedp.Flag("disable-gpu", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("ignore-certificate-errors", true), // it has no trust store that a test could add to
		chromedp.Flag("host-resolver-rules", "MAP "+host+":443 "+s.address+", MAP * ~NOTFOUND"))
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	s.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	s.t.Cleanup(cancel)
	tab := &tab{t: s.t, ctx: ctx}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		s.t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, tab.note); err != nil {
		s.t.Fatal(err)
	}
	return tab
}

// fontDir has the fonts that Debian installs with Chromium.
const fontDir = "/usr/share/fonts/truetype/dejavu"

// fonts writes a configuration with which pages look the same on a machine that
// has other fonts as well.
func fonts(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "fonts.conf")
	text := `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>` + fontDir + `</dir><cachedir>` + dir + `/fonts</cachedir>
<selectfont><rejectfont><glob>` + fontDir + `/*Serif*</glob></rejectfont></selectfont>
<match><test name="family"><string>monospace</string></test><edit name="family" mode="assign" binding="strong"><string>DejaVu Sans Mono</string></edit></match>
<match><edit name="family" mode="append" binding="weak"><string>DejaVu Sans</string></edit></match></fontconfig>`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// note collects what the browser writes to its console: what the page's policy
// forbids, and what could not be loaded.
func (b *tab) note(event any) {
	if e, ok := event.(*log.EventEntryAdded); ok {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, fmt.Sprintf("%s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// follow does what leads to another page, and waits for that.
func (b *tab) follow(step chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, step); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) visit(path string) {
	b.t.Helper()
	b.follow(chromedp.Navigate("https://" + host + path))
}

// view sets the size of the window and the theme that the user prefers.
func (b *tab) view(width, height int64, theme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		b.t.Fatal(err)
	}
}

// ask evaluates an expression in the page.
func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// quiet reports what the browser complained about.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, problem := range b.problems {
		b.t.Error(problem)
	}
}
