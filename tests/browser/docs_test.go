package browser

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentation opens every page that make docs renders, in a narrow window
// in both themes: nothing is wider than the window or missing.
func TestDocumentation(t *testing.T) {
	if _, err := exec.LookPath("mandoc"); err != nil {
		skip(t, "%v (tests/setup.sh brings it)", err)
	}
	dir := t.TempDir()
	cmd := exec.Command(filepath.Join(root, "packaging", "docs.sh"))
	cmd.Env = append(os.Environ(), "DIST="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docs.sh: %v\n%s", err, out)
	}
	docs := os.DirFS(filepath.Join(dir, "docs"))
	server := httptest.NewTLSServer(http.FileServerFS(docs))
	defer server.Close()
	s := &site{t: t, address: strings.TrimPrefix(server.URL, "https://")}
	b := s.open()
	pages, err := fs.Glob(docs, "*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{"decisions", "examples"} {
		found, err := fs.Glob(docs, more+"/*.html")
		if err != nil || len(found) == 0 {
			t.Fatalf("no pages in %s: %v", more, err)
		}
		pages = append(pages, found...)
	}
	colours := map[string]bool{}
	for _, theme := range []string{"light", "dark"} {
		b.view(360, 740, theme)
		for _, page := range pages {
			b.visit("/" + page)
			if wide := ask[int64](b, `document.documentElement.scrollWidth`); wide > 360 {
				t.Errorf("%s: %d pixels wide", page, wide)
			}
			if small := ask[int64](b, `[...document.images].filter(i => i.naturalWidth < 100).length`); small > 0 {
				t.Errorf("%s: %d pictures are not shown", page, small)
			}
			colours[ask[string](b, `getComputedStyle(document.body).color`)] = true
		}
	}
	if len(colours) != 2 {
		t.Errorf("colours of text: %v, want one for each theme", colours)
	}
	b.quiet()
}
