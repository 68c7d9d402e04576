package containerd

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/tests/replicas"
)

// Addresses of two registries and the object store that they share.
var replicaAddresses = [3]string{siteIPv4, "10.99.0.2", "10.99.0.3"}

// newReplicas is a site whose registry outlives a host, filled through the first of the
// two. The second sends containerd to the object store for blobs.
func newReplicas(t *testing.T) (*site, *replicas.Site) {
	t.Helper()
	s := &site{net: newNetwork(t), dir: t.TempDir()}
	for _, a := range replicaAddresses {
		s.net.ip(t, "addr add "+a+"/32 dev lo")
	}
	s.readBundle(t)
	r := replicas.Serve(t, replicas.Options{Addresses: replicaAddresses, Port: 5000, Redirect: [2]bool{false, true}, Start: s.net.start})
	cmd := exec.Command(tool("oci-push"), append([]string{"--quiet", "--to", r.A.At + "/" + vendorPath}, r.Login()...)...)
	cmd.Stdin = strings.NewReader(string(s.records))
	if _, err := s.net.output(cmd); err != nil {
		t.Fatal(err)
	}
	return s, r
}

// pulled pulls an image, requires all of it from inside the site, and removes it.
func (w *worker) pulled(t *testing.T, i image) {
	t.Helper()
	defer w.forget(t)
	begun := time.Now()
	if err := w.pull(t, i.reference); err != nil {
		t.Errorf("pull of %s: %v", i.reference, err)
	} else {
		t.Logf("containerd %s pulled %s in %v", w.name, i.reference, time.Since(begun).Round(10*time.Millisecond))
		w.content(t, w.site.images[i.repository+":"+i.tag])
	}
	w.silent(t)
}

// TestReplicas pulls from two registries over one object store, while both run, after the
// first was killed, and when it does not even refuse connections.
func TestReplicas(t *testing.T) {
	t.Parallel()
	needNamespaces(t)
	for _, name := range []string{"bundle-ls", "oci-push", "k0s-mirror-config"} {
		needTool(t, name)
	}
	s, r := newReplicas(t)
	var workers []*worker
	for n, release := range releases {
		needTool(t, release.program)
		w := newWorker(t, s, release, n+1)
		for _, a := range replicaAddresses[1:] {
			w.net.ip(t, fmt.Sprintf("route add %s/32 via 10.98.%d.1", a, n+1))
		}
		path := "/" + vendorPath
		w.configure(t, setup{mirrors: []string{"https://" + r.A.At + path, "https://" + r.B.At + path}, ca: []string{r.CA}, user: replicas.Username, password: replicas.Password})
		w.start(t)
		workers = append(workers, w)
	}
	each := func(name string, run func(*testing.T, *worker)) {
		t.Run(name, func(t *testing.T) {
			for _, w := range workers {
				t.Run(w.name, func(t *testing.T) {
					t.Parallel()
					run(t, w)
				})
			}
		})
	}
	own := pause.own(r.A.At + "/" + vendorPath) // as the platform's images are named
	each("both run", func(t *testing.T, w *worker) {
		w.pulled(t, pause)
		w.pulled(t, own)
	})
	r.A.Kill()
	each("the first was killed", func(t *testing.T, w *worker) {
		w.pulled(t, pause)
		w.pulled(t, own)
		cause := "not found"
		if !w.two { // which reports the first trouble
			cause = "connection refused"
		}
		w.refused(t, absent(pause), cause)
	})
	s.net.ip(t, "addr del "+siteIPv4+"/32 dev lo")
	each("the first drops packets", func(t *testing.T, w *worker) {
		if !w.two {
			return // containerd 1 waits 30 s for each of four requests, whatever its configuration
		}
		w.pulled(t, pause)
		w.pulled(t, own)
	})
}
