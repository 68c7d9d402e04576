package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
)

// TestK0sURL: a server serves k0s only if it lists k0s's files; a portal returns a
// page for every path.
func TestK0sURL(t *testing.T) {
	for _, tt := range []struct {
		name, kind, body string
		status           int
		found            bool
		note             string
	}{
		{"files", "text/plain; charset=utf-8", "k0s-v1.32.8+k0s.0-amd64\nk0s-v1.32.8+k0s.0-arm64\n", 200, true, ""},
		{"none yet", "text/plain; charset=utf-8", "", 200, true, "which has no files yet"},
		{"a portal", "text/html", "<html>Welcome</html>", 200, false, "--k0s-url"},
		{"a text", "text/plain", "Not here, sorry.", 200, false, "--k0s-url"},
		{"nothing", "text/plain", "404", 404, false, "--k0s-url"},
		{"a login is required", "text/plain", "", 401, false, "cannot download k0s from the registry, which requires a login for it: child clusters will download"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			if strings.HasPrefix(r.URL.Path, "/v2/") {
				http.NotFound(w, r)
				return
			}
			if r.URL.Path != "/k0s/" {
				t.Errorf("%s: asked for %s", tt.name, r.URL.Path)
			}
			w.Header().Set("Content-Type", tt.kind)
			w.WriteHeader(tt.status)
			fmt.Fprint(w, tt.body)
		}))
		host := srv.Listener.Addr().String()
		i := testInstaller(t, testHost(t), &settings{Registry: cli.Registry{PlainHTTP: true}})
		reg, err := client.New(client.Options{At: host, Names: client.SiteNames})
		if err != nil {
			t.Fatal(err)
		}
		i.site = &site{at: host, host: host, reg: reg}
		var r release
		i.findK0s(t.Context(), &r)
		srv.Close()
		address, note := r.site.K0sURL, r.k0sFinding.Detail
		want := ""
		if tt.found {
			want = "http://" + host + "/k0s"
		}
		if address != want || !strings.Contains(note, tt.note) || tt.note == "" && note != "" {
			t.Errorf("%s: %q, %q, want %q, %q", tt.name, address, note, want, tt.note)
		}
	}
}

// The server over plain HTTP must have every file of k0s that the registry lists.
func TestServesK0s(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/k0s/":
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Link", `</other>; rel="next", <http://`+r.Host+`/plain/>; rel="alternate"`)
			io.WriteString(w, "k0s-v1.32.8+k0s.0-amd64\nk0s-v1.36.3+k0s.0-amd64\n")
		case "/v2/", "/plain/k0s-v1.32.8+k0s.0-amd64":
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	host := srv.Listener.Addr().String()
	i := testInstaller(t, testHost(t), &settings{Registry: cli.Registry{PlainHTTP: true}})
	reg, err := client.New(client.Options{At: host, Names: client.SiteNames})
	if err != nil {
		t.Fatal(err)
	}
	i.site = &site{at: host, host: host, reg: reg}
	var r release
	i.findK0s(t.Context(), &r)
	if want := "http://" + host + "/plain"; r.plainK0s != want {
		t.Errorf("k0s over plain HTTP is at %q, want %q", r.plainK0s, want)
	}
	if err := i.servesK0s(t.Context(), &r); !errors.Is(err, chart.ErrNotFound) || !strings.Contains(err.Error(), "k0s-v1.36.3+k0s.0-amd64") {
		t.Errorf("with one of two files: %v", err)
	}
	r.k0sFiles = r.k0sFiles[:1]
	if err := i.servesK0s(t.Context(), &r); err != nil {
		t.Errorf("with all files: %v", err)
	}
}

// TestOnlinePlan has the chart in a registry, and everything else at the chart's own
// locations.
func TestOnlinePlan(t *testing.T) {
	h, s := testHost(t), aSite(t)
	r := try(t, h, "", "--online", "--registry", s.At, "--ca", s.CA, "--helm-timeout", "30m", "--plan")
	if r.Err != nil {
		t.Fatalf("%v\n%s", r.Err, r.Stderr)
	}
	if strings.Contains(r.Stderr, s.At) || !strings.Contains(r.Stderr, "values:   defaultHelmTimeout: 30m0s\n") {
		t.Errorf("the values lead to the registry of the chart:\n%s", r.Stderr)
	}
	if r.Step("secrets").Status != record.StatusSkipped {
		t.Errorf("%+v, want no secrets", r.Step("secrets"))
	}
}

func TestReleaseMustBeChosen(t *testing.T) {
	h, s := testHost(t), aSite(t)
	i := testInstaller(t, h, &settings{Registry: cli.Registry{At: s.At, CA: s.CA}})
	var err error
	if i.site, err = i.openSite(); err != nil {
		t.Fatal(err)
	}
	if err := i.site.reg.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := i.releaseVersion(t.Context(), "charts/k0rdent-enterprise"); err != nil || v != "1.2.3" {
		t.Errorf("%q, %v, want the only one", v, err)
	}
	i.bundle = &record.Version{Version: "1.2.4"}
	if v, err := i.releaseVersion(t.Context(), "charts/k0rdent-enterprise"); err != nil || v != "1.2.4" {
		t.Errorf("%q, %v, want that of the bundle", v, err)
	}
	i.bundle = nil
	if _, err := i.releaseVersion(t.Context(), "charts/absent"); err == nil || !strings.Contains(err.Error(), "charts/absent is not in the registry") {
		t.Errorf("%v, want ErrNotFound", err)
	}
}

// TestMissingBlob: the client of a registry reports a missing blob when it is read, with
// the error for which package chart calls it unusable.
func TestMissingBlob(t *testing.T) {
	s := aSite(t)
	i := testInstaller(t, testHost(t), &settings{Registry: cli.Registry{At: s.At, CA: s.CA}})
	at, err := i.openSite()
	if err != nil {
		t.Fatal(err)
	}
	blob, err := at.Blob(t.Context(), "charts/k0rdent-enterprise", "sha256:"+strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if _, err := io.ReadAll(blob); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("reading it: %v, want %v", err, client.ErrNotFound)
	}
}
