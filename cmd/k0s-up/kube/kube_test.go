package kube

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// api is an in-memory API server: responses by method and path, without the query.
// It works in a synctest bubble, in which waiting takes no time. tests/cluster sends
// the same requests to a real API server.
type api map[string]func(*http.Request) (code int, body string)

func (a api) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	answer, found := a[r.Method+" "+r.URL.Path]
	if !found {
		answer = func(*http.Request) (int, string) {
			return http.StatusNotFound, `{"kind":"Status","message":"the server could not find the requested resource"}`
		}
	}
	code, body := answer(r)
	w.WriteHeader(code)
	io.WriteString(w, body)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func (a api) client() *Client { return &Client{server: "https://h", http: &http.Client{Transport: a}} }

func respond(code int, body string) func(*http.Request) (int, string) {
	return func(*http.Request) (int, string) { return code, body }
}

const (
	ready    = `{"metadata":{"name":"a"},"status":{"conditions":[{"type":"Ready","status":"True"}],"addresses":[{"type":"InternalIP","address":"10.0.0.5"}]}}`
	forbid   = `{"kind":"Status","message":"denied","code":403}`
	nodePath = "/api/v1/nodes/a"
	lease    = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/a"
)

// TestWaitNode has a node that still looks Ready after its k0s was stopped.
func TestWaitNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		renewed := time.Now()
		var back time.Time // when the kubelet renews its lease again
		a := api{
			"GET " + nodePath: respond(200, ready),
			"GET " + lease: func(*http.Request) (int, string) {
				if !back.IsZero() && !time.Now().Before(back) {
					renewed = back
				}
				return 200, fmt.Sprintf(`{"spec":{"renewTime":%q}}`, renewed.UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
			},
			"GET /api/v1/pods": respond(200, `{"items":[{"metadata":{"namespace":"kube-system","name":"kube-router-x"},"status":{"containerStatuses":[{"state":{"waiting":{"reason":"ImagePullBackOff","message":"not found"}}}]}}]}`),
		}
		c := a.client()
		if err := c.WaitNode(t.Context(), "a", time.Time{}); err != nil {
			t.Errorf("k0s was not restarted: %v", err)
		}
		time.Sleep(time.Second)
		restarted := time.Now()
		short, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		err := c.WaitNode(short, "a", restarted)
		if want := "node a: not ready after 15s: its kubelet has not reported since k0s started; pod kube-system/kube-router-x: ImagePullBackOff: not found"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
		back = time.Now().Add(20 * time.Second)
		if err := c.WaitNode(t.Context(), "a", restarted); err != nil || time.Since(restarted) < 30*time.Second {
			t.Errorf("%v after %v, want the node once its kubelet is back", err, time.Since(restarted))
		}
		a["GET "+lease] = respond(403, forbid)
		if err := c.WaitNode(t.Context(), "a", time.Now()); err != nil {
			t.Errorf("a node that may not read its lease: %v", err)
		}
		for body, want := range map[string]string{
			`{"status":{"conditions":[{"type":"Ready","status":"False","message":"no CNI"}]}}`: "no CNI",
			`{"status":{}}`: "its kubelet has not reported yet",
			`{"status":{"conditions":[{"type":"Ready","status":"True"}],"addresses":[{"type":"Hostname"}]}}`: "ip route add default",
		} {
			a["GET "+nodePath] = respond(200, body)
			short, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := c.WaitNode(short, "a", time.Time{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", body, err, want)
			}
			cancel()
		}
	})
}

func TestWaitAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := api{"GET /readyz": respond(500, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n")}
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := a.client().WaitAPI(short); err == nil || err.Error() != "api server: not ready after 1m0s: failing checks: etcd" {
			t.Errorf("error = %v, want that etcd fails", err)
		}
		interrupted := errors.New("interrupted")
		stopped, stop := context.WithCancelCause(t.Context())
		stop(interrupted)
		if err := a.client().WaitAPI(stopped); !errors.Is(err, interrupted) {
			t.Errorf("error = %v, want the interrupt", err)
		}
		a["GET /readyz"] = respond(200, "ok")
		if err := a.client().WaitAPI(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestControllers combines all lists of controllers, none of which is complete.
func TestControllers(t *testing.T) {
	a := api{
		"GET " + etcdMembers:  respond(200, `{"items":[{"metadata":{"name":"A"},"status":{"conditions":[{"type":"Joined","status":"True"}]}},{"metadata":{"name":"gone"},"status":{"conditions":[{"type":"Joined","status":"False"}]}}]}`),
		"GET " + controlNodes: respond(200, `{"items":[{"metadata":{"name":"b"}},{"metadata":{"name":"gone"}}]}`),
		"GET " + nodes: func(r *http.Request) (int, string) {
			if r.FormValue("labelSelector") != "node-role.kubernetes.io/control-plane" {
				t.Errorf("nodes asked for %q", r.URL.RawQuery)
			}
			return 200, `{"items":[{"metadata":{"name":"c"},"status":{"conditions":[{"type":"Ready","status":"False"}]}}]}`
		},
		"GET /apis/discovery.k8s.io/v1/namespaces/default/endpointslices": respond(200, `{"items":[{"ports":[{"port":6443},{}],"endpoints":[{"addresses":["10.0.0.5","fd00::5"]},{"addresses":["no address"]}]}]}`),
	}
	got, err := a.client().Controllers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.5:6443"), netip.MustParseAddrPort("[fd00::5]:6443")}
	if names := strings.Join(got.Names, " "); names != "a b c" || !slices.Equal(got.Endpoints, want) {
		t.Errorf("controllers %q at %v, want a b c at %v", names, got.Endpoints, want)
	}
	delete(a, "GET "+etcdMembers) // a cluster that has no such kind
	if got, err := a.client().Controllers(t.Context()); err != nil || strings.Join(got.Names, " ") != "b c gone" {
		t.Errorf("%+v, %v", got, err)
	}
	a["GET "+controlNodes] = respond(403, forbid)
	if _, err := a.client().Controllers(t.Context()); err == nil || err.Error() != "denied" {
		t.Errorf("%v: want an error if controllers cannot be listed", err)
	}
}

func TestPlatform(t *testing.T) {
	a := api{}
	if installed, err := a.client().Platform(t.Context()); installed || err != nil {
		t.Errorf("no such group: %v, %v", installed, err)
	}
	a["GET /apis/k0rdent.mirantis.com"] = respond(200, `{"preferredVersion":{"groupVersion":"k0rdent.mirantis.com/v1beta1"}}`)
	a["GET /apis/k0rdent.mirantis.com/v1beta1/managements"] = respond(200, `{"items":[]}`)
	if installed, err := a.client().Platform(t.Context()); installed || err != nil {
		t.Errorf("no Management: %v, %v", installed, err)
	}
	a["GET /apis/k0rdent.mirantis.com/v1beta1/managements"] = respond(200, `{"items":[{"metadata":{"name":"kcm"}}]}`)
	if installed, err := a.client().Platform(t.Context()); !installed || err != nil {
		t.Errorf("a Management: %v, %v", installed, err)
	}
	a["GET /apis/k0rdent.mirantis.com"] = respond(403, forbid)
	if _, err := a.client().Platform(t.Context()); err == nil {
		t.Error("want an error if the request is forbidden")
	}
}

// TestRemoveHost retries temporary errors and reports permanent ones, which do not
// keep the other objects from being deleted.
func TestRemoveHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		a := api{
			"DELETE " + nodePath: func(*http.Request) (int, string) {
				if tries++; tries == 1 {
					return 503, `{"message":"no"}`
				}
				return 200, "{}"
			},
			"DELETE " + controlNodes + "/a": respond(403, forbid),
			"DELETE " + etcdMembers + "/a":  respond(200, "{}"),
		}
		removed, err := a.client().RemoveHost(t.Context(), "a")
		if got := strings.Join(removed, ", "); got != "Node a, EtcdMember a" || err == nil || err.Error() != "ControlNode a: denied" {
			t.Errorf("removed %q, %v, want all but the ControlNode", got, err)
		}
		if removed, err := (api{}).client().RemoveHost(t.Context(), "a"); len(removed) > 0 || err != nil {
			t.Errorf("removed %q, %v, want nothing left", removed, err)
		}
	})
}

// TestDrain waits for disruption budgets, and leaves the node's own pods alone.
func TestDrain(t *testing.T) {
	const stays = `{"metadata":{"namespace":"n","name":"daemon","ownerReferences":[{"kind":"DaemonSet","controller":true}]}},` +
		`{"metadata":{"namespace":"n","name":"mirror","annotations":{"kubernetes.io/config.mirror":"x"}}},` +
		`{"metadata":{"namespace":"n","name":"done"},"status":{"phase":"Succeeded"}}`
	node := func(refusals int) (a api, asked *int) {
		asked = new(int)
		pods := stays + `,{"metadata":{"namespace":"n","name":"app"}}`
		return api{
			"PATCH " + nodePath: func(r *http.Request) (int, string) {
				var patch struct{ Spec struct{ Unschedulable bool } }
				if err := json.NewDecoder(r.Body).Decode(&patch); err != nil || !patch.Spec.Unschedulable {
					t.Errorf("patch %+v, %v", patch, err)
				}
				return 200, "{}"
			},
			"GET /api/v1/pods": func(r *http.Request) (int, string) {
				if r.FormValue("fieldSelector") != "spec.nodeName=a" {
					t.Errorf("pods asked for %q", r.URL.RawQuery)
				}
				return 200, `{"items":[` + pods + `]}`
			},
			"POST /api/v1/namespaces/n/pods/app/eviction": func(*http.Request) (int, string) {
				if *asked++; *asked <= refusals {
					return 429, `{"message":"a disruption budget"}`
				}
				pods = stays
				return 201, "{}"
			},
		}, asked
	}
	synctest.Test(t, func(t *testing.T) {
		a, asked := node(3)
		if found, err := a.client().Drain(t.Context(), "a"); !found || err != nil || *asked != 4 {
			t.Errorf("Drain = %v, %v after %d tries, want the node drained after 4", found, err, *asked)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a, _ := node(1000)
		start := time.Now()
		if found, err := a.client().Drain(t.Context(), "a"); !found || err == nil || err.Error() != "pod n/app did not leave within 2m0s" || time.Since(start) < drainTimeout {
			t.Errorf("Drain = %v, %v after %v, want what did not leave", found, err, time.Since(start))
		}
		interrupted := errors.New("interrupted")
		stopped, stop := context.WithCancelCause(t.Context())
		stop(interrupted)
		if _, err := a.client().Drain(stopped, "a"); !errors.Is(err, interrupted) {
			t.Errorf("error = %v, want the interrupt", err)
		}
		a["POST /api/v1/namespaces/n/pods/app/eviction"] = respond(403, forbid)
		if _, err := a.client().Drain(t.Context(), "a"); err == nil || err.Error() != "denied" {
			t.Errorf("error = %v, want that it is forbidden", err)
		}
	})
	if found, err := (api{}).client().Drain(t.Context(), "a"); found || err != nil {
		t.Errorf("Drain = %v, %v, want that there is no such node", found, err)
	}
}

// TestOpen reads kubeconfigs as k0s writes them: with inline credentials for an
// administrator, and with files for a kubelet.
func TestOpen(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		io.WriteString(w, "ok")
	}))
	defer srv.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	config := func(more string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: k, cluster: {server: %q, %s}}]\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nusers: [{name: u, user: {token: t}}]\n", srv.URL, more)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := Open(write("file", config("certificate-authority: ca.crt, tls-server-name: example.com")))
	if err != nil {
		t.Fatal(err)
	}
	if name := c.http.Transport.(*http.Transport).TLSClientConfig.ServerName; name != "example.com" {
		t.Errorf("server name %q, want that of the kubeconfig", name)
	}
	if err := c.WaitAPI(ctx); err != nil {
		t.Error(err)
	}
	at, err := OpenAt(write("at", config("certificate-authority: ca.crt")), netip.MustParseAddrPort("10.0.0.6:6443"))
	if err != nil || at.server != "https://10.0.0.6:6443" || at.http.Transport.(*http.Transport).TLSClientConfig.ServerName != "kubernetes" {
		t.Errorf("OpenAt = %+v, %v", at, err)
	}
	for text, want := range map[string]string{
		config("certificate-authority: /no/such/file"):      "/no/such/file",
		config("certificate-authority-data: aGVsbG8="):      "no certificate",
		"current-context: c\n":                              "no server in the kubeconfig",
		"clusters: 7\nusers: [{user: {token: verysecret}}]": "not a kubeconfig",
	} {
		if _, err := Open(write("bad", text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "verysecret") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := Open(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want that there is no such file", err)
	}
}
