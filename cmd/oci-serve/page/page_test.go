package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/registry"
)

// site is a registry with its page, over a fresh storage.
type site struct {
	t    testing.TB
	page *Page
	api  *registry.Handler
	html http.Handler
}

func newSite(t testing.TB) *site {
	t.Helper()
	disk, err := registry.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	return siteOver(t, disk)
}

func siteOver(t testing.TB, store registry.Store) *site {
	s := &site{t: t, api: registry.New(store, registry.Options{})}
	s.page = New(store, Options{Usage: func() registry.Usage { return registry.Usage{Blobs: 1, Bytes: 2e9, Free: 3e12} }})
	s.html = s.api.Beside(s.page.Serve)
	return s
}

func (s *site) put(target string, body []byte, mediaType string) registry.Digest {
	s.t.Helper()
	method := "POST"
	h := ref.NewHash("sha256")
	h.Write(body)
	digest := ref.Sum("sha256", h)
	if mediaType != "" {
		method = "PUT"
	} else {
		target += "/blobs/uploads/?digest=" + string(digest)
	}
	r := httptest.NewRequest(method, "/v2/"+target, bytes.NewReader(body))
	r.Header.Set("Content-Type", mediaType)
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	if w.Code != http.StatusCreated {
		s.t.Fatalf("%s /v2/%s = %d %s", method, target, w.Code, w.Body)
	}
	return digest
}

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

// image pushes an image whose layer has a size, without the layer. annotations is
// JSON.
func (s *site) image(name, reference, configType, config string, size int64, annotations string) registry.Digest {
	s.t.Helper()
	digest := s.put(name, []byte(config), "")
	if reference == "" {
		reference = "t" + string(digest[7:17])
	}
	return s.put(name+"/manifests/"+reference, fmt.Appendf(nil,
		`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"digest":"sha256:%064d","size":%d}],"annotations":%s}`,
		configType, digest, len(config), size, size, annotations), imageType)
}

func (s *site) get(target string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest("GET", target, nil)
	r.Host = "registry.site:5000"
	w := httptest.NewRecorder()
	s.html.ServeHTTP(w, r)
	return w
}

// text gets a page as a reader has it, without tags.
func (s *site) text(target string) string {
	s.t.Helper()
	w := s.get(target)
	if w.Code != http.StatusOK {
		s.t.Fatalf("%s = %d %s", target, w.Code, w.Body)
	}
	return plain(w.Body.String())
}

var (
	tags   = regexp.MustCompile(`<input[^>]* value="([^"]*)">|<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

func plain(page string) string {
	page = page[strings.Index(page, "</style>"):]
	return spaces.ReplaceAllString(html.UnescapeString(tags.ReplaceAllString(page, " $1 ")), " ")
}

func (s *site) want(page string, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			s.t.Errorf("no %q in:\n%s", text, page)
		}
	}
}

func TestWanted(t *testing.T) {
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
	for _, c := range []struct {
		name, method, path, accept string
		want                       bool
	}{
		{"browser", "GET", "/", browser, true},
		{"browser's HEAD", "HEAD", "/", browser, true},
		{"with a query", "GET", "/?q=a", browser, true},
		{"curl", "GET", "/", "*/*", false},
		{"no header", "GET", "/", "", false},
		{"docker", "GET", "/", "application/json", false},
		{"refused", "GET", "/", "text/html;q=0, */*", false},
		{"malformed", "GET", "/", "text/html;;=,", false},
		{"registry", "GET", "/v2/", browser, false},
		{"another path", "GET", "/index.html", browser, false},
		{"push", "POST", "/", browser, false},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		if c.accept != "" {
			r.Header.Set("Accept", c.accept)
		}
		if got := Wanted(r); got != c.want {
			t.Errorf("%s: Wanted = %v, want %v", c.name, got, c.want)
		}
	}
}

// The style that is sent is the only thing that the policy allows.
func TestPolicy(t *testing.T) {
	s := newSite(t)
	w := s.get("/")
	body := w.Body.String()
	sent := body[strings.Index(body, "<style>")+len("<style>") : strings.Index(body, "</style>")]
	sum := sha256.Sum256([]byte(sent))
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":  "nosniff",
		"X-Frame-Options":         "DENY",
		"Referrer-Policy":         "no-referrer",
		"Cache-Control":           "no-store",
		"Content-Type":            "text/html; charset=utf-8",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, " style=") {
		t.Error("the page has a script or a style that the policy forbids")
	}
}

func TestEmpty(t *testing.T) {
	s := newSite(t)
	s.want(s.text("/"), "No release has been pushed yet.", "There are none.", "Used 2.0 GB", "Free 3.0 TB")
	s.want(s.text("/?q=a"), "No repository has that in its name.")
}

func TestContent(t *testing.T) {
	s := newSite(t)
	arm := s.image("site/app", "", imageConfig, `{"os":"linux","architecture":"arm64","variant":"v8"}`, 3e6, "{}")
	amd := s.image("site/app", "", imageConfig, `{"os":"linux","architecture":"amd64"}`, 5e6, "{}")
	index := s.put("site/app/manifests/1.0", fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[
		{"mediaType":%q,"digest":%q,"size":1,"platform":{"os":"linux","architecture":"amd64"}},
		{"mediaType":%[1]q,"digest":%q,"size":1,"platform":{"os":"linux","architecture":"arm64","variant":"v8"}},
		{"mediaType":%[1]q,"digest":%[3]q,"size":1,"platform":{"os":"unknown","architecture":"unknown"}},
		{"mediaType":%[1]q,"digest":"sha256:%064[4]d","size":1,"platform":{"os":"linux","architecture":"s390x"}}]}`, imageType, amd, arm, 7), indexType)
	s.image("one", "2", imageConfig, `{"os":"linux","architecture":"amd64"}`, 1e6, "{}")
	s.image("site/charts/k0rdent-enterprise", "1.9.0", chartConfig, `{}`, 100, `{"org.opencontainers.image.description":"The platform"}`)
	s.image("site/charts/k0rdent-enterprise", "1.10.0", chartConfig, `{}`, 101, "{}")
	s.image("site/charts/k0rdent-enterprise", "1.10.0-rc1_b", chartConfig, `{}`, 102, "{}")
	s.image("site/notes", "a", "application/x", `{}`, 5, "{}")

	front := s.text("/")
	s.want(front, "1.10.0 site/charts/k0rdent-enterprise 1.10.0-rc1_b site/charts/k0rdent-enterprise 1.9.0 site/charts",
		"one 2 image linux/amd64 1.0 MB", "site/notes a artifact 7 B")
	page := s.text("/?repository=site/app&tag=1.0")
	s.want(page, "image linux/amd64 linux/arm64/v8 8.0 MB", string(index),
		"Docker docker pull registry.site:5000/site/app:1.0 ",
		"Podman podman pull --tls-verify=false registry.site:5000/site/app:1.0 ",
		"crictl crictl pull registry.site:5000/site/app:1.0 ",
		"ctr ctr -n k8s.io images pull --plain-http registry.site:5000/site/app:1.0 ")
	if strings.Contains(page, "s390x") || strings.Contains(page, "unknown") {
		t.Errorf("shown: a platform that is not here, or an attestation's:\n%s", page)
	}
	s.want(s.text("/?repository=site/charts/k0rdent-enterprise"), "The platform",
		"helm pull --plain-http oci://registry.site:5000/site/charts/k0rdent-enterprise --version 1.10.0-rc1+b ")
	s.want(s.text("/?repository=site/notes"), "crane pull --insecure --format oci registry.site:5000/site/notes:a notes ")
	s.want(s.text("/?q=APP+site"), "Search: APP site", "site/app 1.0")
	if found := s.text("/?q=app"); strings.Contains(found, "site/notes") {
		t.Errorf("found as well: site/notes in\n%s", found)
	}
}

func TestPages(t *testing.T) {
	s := newSite(t)
	for i := range 7 {
		s.image(fmt.Sprintf("r%d", i), "x", imageConfig, "{}", 1, "{}")
		s.image("r0", fmt.Sprintf("v%d", i), imageConfig, "{}", 1, "{}")
	}
	next := regexp.MustCompile(`href="([^"]*)" rel="next"`)
	walk := func(target string) (pages []string) {
		for {
			w := s.get(target)
			pages = append(pages, plain(w.Body.String()))
			m := next.FindStringSubmatch(w.Body.String())
			if m == nil {
				return pages
			}
			target = html.UnescapeString(m[1])
		}
	}
	for target, want := range map[string]int{"/?n=3": 3, "/?n=7": 1, "/?n=0": 1, "/?n=3&q=r": 3, "/?n=1&q=r6": 1, "/?n=3&repository=r0": 3} {
		pages := walk(target)
		all := strings.Join(pages, "\n")
		if len(pages) != want {
			t.Errorf("%s: %d pages, want %d:\n%s", target, len(pages), want, all)
		}
		for i := range 7 {
			name := fmt.Sprintf("r%d ", i)
			if strings.Contains(target, "repository") {
				name = fmt.Sprintf(" v%d ", i)
			}
			if n := strings.Count(all, name); n == 0 && !strings.Contains(target, "r6") {
				t.Errorf("%s: %q is on no page:\n%s", target, name, all)
			}
		}
	}
}

func TestCompareVersions(t *testing.T) {
	order := []string{"1.2.0-rc1", "1.2.0", "v1.2.1", "1.9", "1.10.0", "2"}
	for i := range order[1:] {
		if compareVersions(order[i], order[i+1]) >= 0 || compareVersions(order[i+1], order[i]) <= 0 {
			t.Errorf("%s is not before %s", order[i], order[i+1])
		}
	}
}
