package containerd

import (
	"strings"
	"testing"
	"time"
)

// TestMirrors pulls from a site's registries on a worker with each containerd.
func TestMirrors(t *testing.T) {
	t.Parallel()
	needNamespaces(t)
	for _, name := range []string{"bundle-ls", "oci-push", "oci-serve", "k0s-mirror-config"} {
		needTool(t, name)
	}
	s := newSite(t)
	for n, r := range releases {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			needTool(t, r.program)
			w := newWorker(t, s, r, n+1)
			w.configure(t, setup{mirrors: []string{s.plain.url(siteIPv4)}})
			w.start(t)
			for _, c := range pulls {
				t.Run(c.name, func(t *testing.T) { c.run(t, w, s) })
			}
			t.Logf("containerd %s: the slowest not found took %v", r.name, w.slowest.Round(time.Millisecond))
			t.Run("k0s of another syntax before", w.upgraded)
			t.Run("newest main file", w.readsNewestMain)
			t.Run("faults", w.seesFaults)
			t.Run("drop-ins", func(t *testing.T) { w.seesDropIns(t, min(n, 2)) })
			t.Run("lost mirrors", w.seesLostMirrors)
		})
	}
	t.Run("the first node", func(t *testing.T) {
		t.Parallel()
		r := releases[1] // containerd 1 is the more particular about IPv6
		needTool(t, r.program)
		w := firstNode(t, s, r)
		w.configure(t, setup{records: s.prefix.tell, inward: []string{s.prefix.at("::1")}})
		w.start(t)
		w.all(t, s.prefix, bundlePrefix)
	})
}

var pulls = []struct {
	name string
	run  func(*testing.T, *worker, *site)
}{
	{"plain HTTP", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.plain.url(siteIPv4)}})
		w.all(t, s.plain, "")
	}},
	{"TLS with the registry's own authority", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.secure.url(siteIPv4)}, ca: []string{s.secure.ca}})
		w.all(t, s.secure, "")
	}},
	{"TLS and a path", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.prefix.url(siteIPv4) + "/" + bundlePrefix}, ca: []string{s.prefix.ca}})
		w.all(t, s.prefix, bundlePrefix)
	}},
	{"TLS and a password", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.locked.url(siteIPv4)}, ca: []string{s.locked.ca}, password: password})
		w.all(t, s.locked, "")
	}},
	{"a second mirror when the first is down", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.down().url(siteIPv4), s.secure.url(siteIPv4)}, ca: []string{s.secure.ca}})
		w.all(t, s.secure, "", "connection refused")
	}},
	{"a second mirror for what the first lacks", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.prefix.url(siteIPv4), s.plain.url(siteIPv4)}, ca: []string{s.prefix.ca}})
		w.served(t, s.plain, "", pause)
		w.missing(t, s.prefix, "", absent(pause))
		w.missing(t, s.plain, "", absent(pause))
	}},
	{"the first mirror is enough when the second is down", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.secure.url(siteIPv4), s.down().url(siteIPv4)}, ca: []string{s.secure.ca}})
		w.served(t, s.secure, "", pause)
	}},
	{"a second mirror when the first has another authority", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.prefix.url(siteIPv4) + "/" + bundlePrefix, s.secure.url(siteIPv4)}, ca: []string{s.secure.ca}})
		w.served(t, s.secure, "", pause)
		w.missing(t, s.secure, "", absent(pause), "signed by unknown authority")
	}},
	{"a second mirror when the first wants a password", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.locked.url(siteIPv4), s.prefix.url(siteIPv4) + "/" + bundlePrefix}, ca: []string{s.locked.ca, s.prefix.ca}})
		w.served(t, s.prefix, bundlePrefix, pause)
		w.missing(t, s.prefix, bundlePrefix, absent(pause), "uthoriz")
	}},
	{"a password for the first mirror only", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.locked.url(siteIPv4), s.plain.url(siteIPv4)}, ca: []string{s.locked.ca}, password: password})
		w.served(t, s.locked, "", pause)
		w.missing(t, s.plain, "", absent(pause))
	}},
	{"IPv6", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.plain.url(siteIPv6)}})
		w.all(t, s.plain, "")
	}},
	{"IPv6 with TLS as the last mirror", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.down().url(siteIPv4), s.prefix.url(siteIPv6) + "/" + bundlePrefix}, ca: []string{s.prefix.ca}})
		w.all(t, s.prefix, bundlePrefix, "connection refused")
	}},
	{"a mirror by name", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.secure.url(siteName)}, ca: []string{s.secure.ca}})
		w.all(t, s.secure, "")
	}},
	{"the registry by its own names", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{
			mirrors: []string{s.down().url(siteIPv4), s.secure.url(siteName), s.plain.url(siteIPv4), s.prefix.url(siteIPv4) + "/" + bundlePrefix},
			ca:      []string{s.secure.ca, s.prefix.ca}})
		// Others without a path are asked too, and the first of them is down.
		for _, own := range []struct {
			server     *server
			host, path string
			trouble    []string
		}{{s.secure, siteName, "", []string{"connection refused"}}, {s.plain, siteIPv4, "", []string{"connection refused"}}, {s.prefix, siteIPv4, "/" + bundlePrefix, nil}} {
			w.served(t, own.server, strings.Trim(own.path, "/"), pause.own(own.server.at(own.host)+own.path))
			w.missing(t, own.server, strings.Trim(own.path, "/"), absent(pause).own(own.server.at(own.host)+own.path), own.trouble...)
		}
	}},
	{"a registry's own name when it is down", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.down().url(siteIPv4), s.secure.url(siteIPv4)}, ca: []string{s.secure.ca}})
		replica := pause.own(s.down().at(siteIPv4))
		replica.origin = s.down().at(siteIPv4)
		w.served(t, s.secure, "", replica)
	}},
	{"the registry by its IPv6 address", func(t *testing.T, w *worker, s *site) {
		if w.name == "1.6" {
			return // it rejects such a reference
		}
		w.configure(t, setup{mirrors: []string{s.prefix.url(siteIPv6) + "/" + bundlePrefix}, ca: []string{s.prefix.ca}})
		w.served(t, s.prefix, bundlePrefix, pause.own(s.prefix.at(siteIPv6)+"/"+bundlePrefix))
	}},
	{"by digest", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.secure.url(siteIPv4)}, ca: []string{s.secure.ca}})
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
		w.configure(t, setup{mirrors: []string{s.down().url(siteIPv4), s.down().url(siteIPv6)}})
		for _, i := range images {
			w.refused(t, i, "connection refused")
		}
	}},
	{"the wrong authority", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.secure.url(siteIPv4)}, ca: []string{s.prefix.ca}})
		for _, i := range images {
			w.refused(t, i, "x509: certificate signed by unknown authority")
		}
	}},
	{"the wrong password", func(t *testing.T, w *worker, s *site) {
		w.configure(t, setup{mirrors: []string{s.locked.url(siteIPv4)}, ca: []string{s.locked.ca}, password: "wrong"})
		w.refused(t, pause, "auth")
	}},
	{"a first mirror that is filtered", func(t *testing.T, w *worker, s *site) {
		if !w.two {
			return // containerd 1 waits 30 s for each request, whatever its configuration
		}
		w.configure(t, setup{mirrors: []string{s.plain.url(filtered), s.plain.url(siteIPv4)}})
		begun := time.Now()
		w.refused(t, absent(pause), "not found")
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("one request took %v: the time for a connection is not bounded", took)
		}
	}},
}

// filtered is an address in the site that never answers.
const filtered = "10.99.0.99"

// down is a registry that does not run.
func (s *site) down() *server { return &server{port: "1"} }

// all pulls all images, and one from each host that is not there; the program
// that wrote the configuration knows which is which.
func (w *worker) all(t *testing.T, from *server, path string, trouble ...string) {
	t.Helper()
	there := map[string]bool{}
	for _, i := range images {
		no := absent(i)
		if i.origin == vendor && strings.HasSuffix(path, vendorPath) {
			i, no = i.vendors(), no.vendors()
		}
		w.served(t, from, path, i)
		w.missing(t, from, path, no, trouble...)
		there[i.reference], there[no.reference] = true, false
	}
	if len(trouble) == 0 { // a mirror that is down gets a good while to come back
		w.predicted(t, there)
	}
}
