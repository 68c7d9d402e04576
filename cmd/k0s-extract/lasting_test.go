package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
)

// A registry that answers every request with "try again later" ends the run with
// exit code 75 and the time of the next attempt, and nothing is written.
func TestBusyRegistry(t *testing.T) {
	layer := k0sLayer(t, k0sFor(v132))
	image := blobsOf(platformImage{"amd64", [][]byte{layer}})
	for i, part := range []string{"/v2/", "/tags/list", "/manifests/", "/blobs/sha256"} {
		for _, code := range []int{429, 500, 502, 503, 504} {
			t.Run(fmt.Sprintf("%s, %d", part, code), func(t *testing.T) {
				var armed atomic.Bool
				then := time.Now().Add(time.Hour).UTC()
				host := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
					if !armed.Load() || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, part) || part == "/v2/" && r.URL.Path != part {
						return false
					}
					w.Header().Set("Retry-After", []string{"3600", then.Format(http.TimeFormat)}[i%2])
					w.WriteHeader(code)
					return true
				})
				upload(t, host, "k0s", "v1.32.8-k0s.0", image)
				armed.Store(true)
				to := filepath.Join(t.TempDir(), "k0s")
				_, _, err := run1(t, strings.NewReader(""), "--from", host+"/k0s", "--to", to)
				want := fmt.Sprintf("registry answered %d %s, and asks clients to wait until %s", code, http.StatusText(code), then.Format("2006-01-02T"))
				if cli.Code(err) != cli.CodeTryAgain || !strings.Contains(err.Error(), want) || !strings.Contains(cli.HintOf(err), "run the same command again after ") {
					t.Errorf("%v (code %d, hint %q), want %s", err, cli.Code(err), cli.HintOf(err), want)
				}
				if left := names(t, filepath.Dir(to)); left != "" {
					t.Errorf("left %s", left)
				}
			})
		}
	}
}
