package page

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/registry"
)

// What a registry's clients choose does not become markup.
func TestHostile(t *testing.T) {
	s := newSite(t)
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'` + "\\u0000\\u202e"
	s.image("evil", "t", chartConfig, `{}`, 1, `{"org.opencontainers.image.description":`+strings.ReplaceAll(fmt.Sprintf("%q", evil), `\\u`, `\u`)+`}`)
	config := s.image("evil", "", imageConfig, `{"os":"<script>","architecture":"\"onload=1"}`, 1<<62, "{}")
	s.image("evil", "negative", imageConfig, `[1]`, -1<<62, "{}")
	s.put("evil/manifests/index", fmt.Appendf(nil, `{"manifests":[{"digest":%q,"platform":{"os":"<script>alert(2)</script>"}},{"digest":"../../x"}]}`, config), indexType)
	s.put("evil/manifests/odd", []byte(`{"manifests":"<script>"}`), indexType)
	for _, target := range []string{
		"/", "/?repository=evil", "/?repository=evil&tag=t",
		"/?q=%3Cscript%3Ealert(3)%3C/script%3E", `/?last=%22%3E%3Cscript%3E&q=e`, "/?repository=%3Cscript%3E", "/?repository=../../etc", "/?repository=evil&tag=%3Cscript%3E",
		"/?q=%FF%FE%00", "/?n=99999999999999999999", "/?repository=evil&last=%00",
	} {
		for _, host := range []string{"registry.site:5000", `"><script>`, "a b;rm -rf", "$(id)"} {
			r := httptest.NewRequest("GET", target, nil)
			r.Host = host
			w := httptest.NewRecorder()
			s.html.ServeHTTP(w, r)
			if w.Code != http.StatusOK && w.Code != http.StatusNotFound {
				t.Errorf("%s = %d %s", target, w.Code, w.Body)
			}
			for _, bad := range []string{"<script", "<img", "rm -rf", "$(id)"} {
				if strings.Contains(w.Body.String(), bad) {
					t.Errorf("%s, host %s: %s in\n%s", target, host, bad, w.Body)
				}
			}
		}
	}
	s.want(s.text("/?repository=evil&tag=t"), `"><script>alert(1)</script>`)
}

func TestAbsent(t *testing.T) {
	s := newSite(t)
	s.image("a", "1", imageConfig, "{}", 1, "{}")
	for _, target := range []string{"/?repository=b", "/?repository=a&tag=2", "/?repository=A"} {
		w := s.get(target)
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "Not found") {
			t.Errorf("%s = %d %s", target, w.Code, w.Body)
		}
	}
}

// What one page reads is bounded, however large the manifests are.
func TestBudget(t *testing.T) {
	s := newSite(t)
	pad := strings.Repeat("x", maxDocument-1000)
	for i := range maxRead/maxDocument + 4 {
		s.image("big", fmt.Sprintf("t%02d", i), imageConfig, fmt.Sprintf(`{"os":"linux","architecture":"amd64","i":%d}`, i), 1, `{"pad":"`+pad+`"}`)
	}
	s.image("huge", "t", imageConfig, "{}", 1, `{"pad":"`+pad+pad+`"}`)
	page := s.text("/?repository=big")
	if n := strings.Count(page, "cannot be shown"); n < 3 || n > 6 {
		t.Errorf("%d of the manifests were not read, want what exceeds %d bytes:\n%s", n, maxRead, page)
	}
	s.want(s.text("/?repository=huge"), "t cannot be shown")
}

// slowStore is a store that waits until it may list repositories.
type slowStore struct {
	registry.Store
	wait chan struct{}
}

func (s *slowStore) Repositories(ctx context.Context, last string, limit int) ([]string, bool, error) {
	<-s.wait
	return s.Store.Repositories(ctx, last, limit)
}

// Pages that are being made take a bounded number of places, of which one
// address cannot take all.
func TestPlaces(t *testing.T) {
	disk, err := registry.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	slow := &slowStore{disk, make(chan struct{})}
	s := siteOver(t, slow)
	ask := func(from string) int {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		s.html.ServeHTTP(w, r)
		return w.Code
	}
	codes := make(chan int)
	const many = 2 * maxPages
	for range many {
		go func() { codes <- ask("192.0.2.1:1") }()
	}
	for range many - maxPages/2 {
		if got := <-codes; got != http.StatusTooManyRequests {
			t.Errorf("an address without a place = %d, want 429", got)
		}
	}
	go func() { codes <- ask("192.0.2.2:1") }()
	for end := time.Now().Add(20 * time.Second); s.page.places.Used() < maxPages/2+1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("another address found no place")
		}
	}
	if n := len(s.page.making); n > maxMaking {
		t.Errorf("%d pages are being made, want at most %d", n, maxMaking)
	}
	close(slow.wait)
	for range maxPages/2 + 1 {
		if got := <-codes; got != http.StatusOK {
			t.Errorf("an address with a place = %d, want 200", got)
		}
	}
}
