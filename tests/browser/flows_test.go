package browser

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Each test needs the same registry, and none changes what another one sees.
func TestPage(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *site)
	}{
		{"a release leads to its chart", release},
		{"a search by keyboard leads to a command", keyboard},
		{"pages hold every repository", pages},
		{"the fingerprint is that of ca.pem", fingerprint},
		{"a command pulls what its page shows", pull},
		{"the markup is valid", markup},
		{"it looks as it did", looks},
		{"hostile content stays text", hostile}, // last: it pushes
	} {
		t.Run(c.name, func(t *testing.T) {
			own := *s
			own.t = t
			c.test(t, &own)
		})
	}
}

func release(t *testing.T, s *site) {
	b := s.open()
	b.view(1280, 900, "light")
	b.visit("/")
	if got := ask[string](b, `[...document.querySelectorAll(".releases strong")].map(e => e.textContent).join(" ")`); got != "1.3.0 1.2.3" {
		t.Errorf("releases %q, want the newest first", got)
	}
	b.follow(chromedp.Click(chromedp.CSS(".releases li:first-child a")))
	want := "helm pull --ca-file ca.pem oci://" + host + "/k0rdent-enterprise/charts/k0rdent-enterprise --version 1.3.0"
	if got := ask[string](b, `document.querySelector("details[open] input").value`); got != want {
		t.Errorf("command %q, want %q", got, want)
	}
	b.follow(chromedp.Click(chromedp.CSS(".back a")))
	if got := ask[string](b, `location.pathname + location.search`); got != "/" {
		t.Errorf("back to %q", got)
	}
	b.quiet()
}

// All with the keyboard: skip link, search, result, command, selected as a whole.
func keyboard(t *testing.T, s *site) {
	b := s.open()
	b.view(360, 740, "dark")
	b.visit("/")
	focus := func() string {
		return ask[string](b, `document.activeElement.id || document.activeElement.className || document.activeElement.tagName`)
	}
	b.do(chromedp.KeyEvent(kb.Tab))
	if got := focus(); got != "skip" {
		t.Errorf("Tab goes to %q first, want the skip link", got)
	}
	if !ask[bool](b, `document.activeElement.getBoundingClientRect().left >= 0`) {
		t.Error("the skip link cannot be seen when it has the focus")
	}
	for range 2 {
		b.do(chromedp.KeyEvent(kb.Tab))
	}
	if got := focus(); got != "q" {
		t.Fatalf("the third Tab goes to %q, want the search", got)
	}
	b.do(chromedp.KeyEvent("BUSYbox"))
	b.follow(chromedp.KeyEvent(kb.Enter))
	if got := ask[string](b, `location.search + " " + [...document.querySelectorAll(".rows .name")].map(e => e.textContent).join(" ")`); got != "?q=BUSYbox k0rdent-enterprise/busybox" {
		t.Fatalf("found %q", got)
	}
	tabTo(b, `document.activeElement.className == "tag"`)
	b.follow(chromedp.KeyEvent(kb.Enter))
	tabTo(b, `document.activeElement.tagName == "SUMMARY"`)
	b.do(chromedp.KeyEvent(kb.Enter)) // closes it
	if ask[bool](b, `document.querySelector("details").open`) {
		t.Error("Enter does not close the commands")
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	tabTo(b, `document.activeElement.readOnly === true`)
	want := "docker pull " + host + "/k0rdent-enterprise/busybox:1.37.0"
	if got := ask[string](b, `{ const e = document.activeElement; e.value.slice(e.selectionStart, e.selectionEnd) }`); got != want {
		t.Errorf("selected %q, want %q", got, want)
	}
	if got := ask[string](b, `getComputedStyle(document.activeElement).outlineStyle`); got != "solid" {
		t.Errorf("the focus has the outline %q", got)
	}
	b.quiet()
}

// tabTo presses Tab until an expression holds.
func tabTo(b *tab, expression string) {
	b.t.Helper()
	for range 60 {
		b.do(chromedp.KeyEvent(kb.Tab))
		if ask[bool](b, expression) {
			return
		}
	}
	b.t.Fatalf("Tab does not lead to %s", expression)
}

func pages(t *testing.T, s *site) {
	var catalog struct{ Repositories []string }
	if err := json.Unmarshal(s.get("/v2/_catalog"), &catalog); err != nil {
		t.Fatal(err)
	}
	b := s.open()
	b.view(1280, 900, "light")
	b.visit("/?n=20")
	var shown []string
	for {
		shown = append(shown, ask[[]string](b, `[...document.querySelectorAll(".rows .name")].map(e => e.textContent)`)...)
		if !ask[bool](b, `!!document.querySelector("a[rel=next]")`) {
			break
		}
		b.follow(chromedp.Click(chromedp.CSS("a[rel=next]")))
	}
	if got, want := strings.Join(shown, "\n"), strings.Join(catalog.Repositories, "\n"); got != want || len(shown) < 41 {
		t.Errorf("the pages hold %d repositories, the catalog %d:\n%s", len(shown), len(catalog.Repositories), got)
	}
	b.follow(chromedp.Click(chromedp.CSS(".pages a")))
	if got := ask[string](b, `location.search`); got != "?" && got != "" {
		t.Errorf("the first page is at %q", got)
	}
	b.quiet()
}

func fingerprint(t *testing.T, s *site) {
	b := s.open()
	b.visit("/")
	block, _ := pem.Decode(s.get("/ca.pem"))
	if block == nil {
		t.Fatal("/ca.pem is not PEM")
	}
	sum := sha256.Sum256(block.Bytes)
	want := strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
	if got := ask[string](b, `document.querySelector("footer .wide code").textContent`); got != want {
		t.Errorf("fingerprint %q, want %q", got, want)
	}
	if openssl, err := exec.LookPath("openssl"); err == nil {
		out, err := exec.Command(openssl, "x509", "-noout", "-fingerprint", "-sha256", "-in", s.ca).Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("openssl prints %q, %v", out, err)
		}
	}
	if got := ask[string](b, `document.querySelector("footer a[download]").getAttribute("href")`); got != "/ca.pem" {
		t.Errorf("ca.pem is linked as %q", got)
	}
	b.quiet()
}

// The command for an artifact is run as it stands.
func pull(t *testing.T, s *site) {
	crane, err := filepath.Abs(filepath.Join(root, ".cache/bin"))
	if err == nil {
		_, err = os.Stat(filepath.Join(crane, "crane"))
	}
	if err != nil {
		skip(t, "%v (tests/setup.sh brings it)", err)
	}
	_, after, _ := strings.Cut(string(s.get("/?repository=k0rdent-enterprise/capi/cluster-api-components")), `readonly value="`)
	command, _, found := strings.Cut(after, `"`)
	if !found || !strings.HasPrefix(command, "SSL_CERT_FILE=ca.pem crane pull ") {
		t.Fatalf("command %q", command)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), s.get("/ca.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+crane+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "cluster-api-components", "index.json")); err != nil {
		t.Error(err)
	}
}

// hostile pushes names and texts that would be markup, and scripts.
func hostile(t *testing.T, s *site) {
	send := func(method, path, kind string, body []byte) {
		r, err := http.NewRequest(method, "https://"+s.address+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		resp, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s %s = %d %s", method, path, resp.StatusCode, text)
		}
	}
	config := []byte(`{"os":"</span><script>window.hit=1</script>","architecture":"\"onmouseover=window.hit=2 \""}`)
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(config))
	send("POST", "/v2/hostile/blobs/uploads/?digest="+digest, "application/octet-stream", config)
	const evil = `\"><img src=x onerror='window.hit=3'><script>window.hit=4</script><a href='javascript:window.hit=5'>`
	send("PUT", "/v2/hostile/manifests/_.-__-.", "application/vnd.oci.image.manifest.v1+json", fmt.Appendf(nil,
		`{"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":1},"annotations":{"org.opencontainers.image.description":"%s"}}`, digest, evil))
	b := s.open()
	for _, path := range []string{"/?q=hostile", "/?repository=hostile", "/?repository=hostile&tag=_.-__-.", "/?q=%22%3E%3Cscript%3Ewindow.hit=6%3C/script%3E"} {
		b.visit(path)
		if ask[bool](b, `window.hit !== undefined || document.scripts.length > 0 || document.images.length > 0`) {
			t.Errorf("%s: a text has become markup", path)
		}
	}
	b.visit("/?repository=hostile")
	if got := ask[string](b, `document.querySelector("article").textContent`); !strings.Contains(got, `"><img src=x onerror=`) {
		t.Errorf("the description is not shown: %q", got)
	}
	b.quiet()
	// What would be a script cannot run, even if it were in the page.
	if ask[bool](b, `{ const e = document.createElement("script"); e.textContent = "window.hit = 7"; document.body.append(e); window.hit !== undefined }`) {
		t.Error("the policy lets a script run")
	}
}
