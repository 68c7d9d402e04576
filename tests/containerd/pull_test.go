package containerd

import (
	"strings"
	"testing"
	"time"
)

// TestMirrors pulls from a site's registries on a worker with each containerd.
func TestMirrors(t *testing.T) {
	need(t, "ip", "mount", tool("oci-serve"))
	s := newSite(t)
	for n, r := range releases {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			need(t, tool(r.program))
			w := newWorker(t, s, r, n+1)
			w.start(t)
			for _, c := range pulls {
				t.Run(c.name, func(t *testing.T) { c.run(t, w, s) })
			}
			t.Run("faults", func(t *testing.T) { w.seesFaults(t) })
			t.Run("drop-ins", func(t *testing.T) { w.seesDropIns(t, n) })
			t.Run("lost mirrors", func(t *testing.T) { w.seesLostMirrors(t) })
			t.Logf("containerd %s: the slowest not found took %v", r.name, w.slowest.Round(time.Millisecond))
		})
	}
}

var pulls = []struct {
	name string
	run  func(*testing.T, *worker, *site)
}{
	{"plain HTTP", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.plain, host: siteIPv4})
		w.all(t, s.plain, "")
	}},
	{"TLS with the registry's own authority", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.secure, host: siteIPv4})
		w.all(t, s.secure, "")
	}},
	{"TLS and a path", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.prefix, host: siteIPv4, path: bundlePrefix})
		w.all(t, s.prefix, bundlePrefix)
	}},
	{"TLS and a password", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.locked, host: siteIPv4, login: username + ":" + password})
		w.all(t, s.locked, "")
	}},
	{"a second mirror when the first is down", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.down(), host: siteIPv4}, mirror{server: s.secure, host: siteIPv4})
		w.all(t, s.secure, "", "connection refused")
	}},
	{"a second mirror for what the first lacks", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.prefix, host: siteIPv4}, mirror{server: s.plain, host: siteIPv4})
		w.served(t, s.plain, "", pause)
		w.missing(t, s.prefix, "", absent(pause))
		w.missing(t, s.plain, "", absent(pause))
	}},
	{"the first mirror is enough when the second is down", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.secure, host: siteIPv4}, mirror{server: s.down(), host: siteIPv4})
		w.served(t, s.secure, "", pause)
	}},
	{"a second mirror when the first has another authority", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.prefix, host: siteIPv4, ca: s.secure.ca, path: bundlePrefix}, mirror{server: s.secure, host: siteIPv4})
		w.served(t, s.secure, "", pause)
		w.missing(t, s.secure, "", absent(pause), "signed by unknown authority")
	}},
	{"a second mirror when the first wants a password", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.locked, host: siteIPv4}, mirror{server: s.prefix, host: siteIPv4, path: bundlePrefix})
		w.served(t, s.prefix, bundlePrefix, pause)
		w.missing(t, s.prefix, bundlePrefix, absent(pause), "uthoriz")
	}},
	{"a password for the first mirror only", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.locked, host: siteIPv4, login: username + ":" + password}, mirror{server: s.plain, host: siteIPv4})
		w.served(t, s.locked, "", pause)
		w.missing(t, s.plain, "", absent(pause))
	}},
	{"IPv6", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.plain, host: siteIPv6})
		w.all(t, s.plain, "")
	}},
	{"IPv6 with TLS as the last mirror", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.down(), host: siteIPv4}, mirror{server: s.prefix, host: siteIPv6, path: bundlePrefix})
		w.all(t, s.prefix, bundlePrefix, "connection refused")
	}},
	{"a mirror by name", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.secure, host: siteName})
		w.all(t, s.secure, "")
	}},
	{"by digest", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.secure, host: siteIPv4})
		for _, i := range images {
			name, _, _ := strings.Cut(i.reference, ":")
			digest := s.images[i.repository+":"+i.tag]
			i.reference = name + "@" + digest
			w.served(t, s.secure, "", i)
			i.reference = name + ":" + i.tag + "@" + digest
			w.served(t, s.secure, "", i)
		}
	}},
	{"no mirror answers", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.down(), host: siteIPv4}, mirror{server: s.down(), host: siteIPv6})
		for _, i := range images {
			w.refused(t, i, "connection refused")
		}
	}},
	{"the wrong authority", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.secure, host: siteIPv4, ca: s.prefix.ca})
		for _, i := range images {
			w.refused(t, i, "x509: certificate signed by unknown authority")
		}
	}},
	{"the wrong password", func(t *testing.T, w *worker, s *site) {
		w.configure(t, mirror{server: s.locked, host: siteIPv4, login: username + ":wrong"})
		w.refused(t, pause, "auth")
	}},
	{"a first mirror that is filtered", func(t *testing.T, w *worker, s *site) {
		if !w.two {
			return // containerd 1 waits 30 s for each request, whatever it is told
		}
		w.configure(t, mirror{server: s.plain, host: filtered}, mirror{server: s.plain, host: siteIPv4})
		begun := time.Now()
		w.refused(t, absent(pause), "not found")
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("one request took %v: the time for a connection is not bounded", took)
		}
	}},
}

// filtered is an address in the site that never answers.
const filtered = "10.99.0.99"

// down is a registry that is not there.
func (s *site) down() *server { return &server{port: "1"} }

// all pulls all images, and one from each host that is not there.
func (w *worker) all(t *testing.T, from *server, path string, trouble ...string) {
	t.Helper()
	for _, i := range images {
		w.served(t, from, path, i)
		w.missing(t, from, path, absent(i), trouble...)
	}
}
