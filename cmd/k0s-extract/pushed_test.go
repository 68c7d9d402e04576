package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	standin "k0rdent-airgap/tests/k0s"
)

// TestPushed extracts k0s from a registry, given the records of a push.
func TestPushed(t *testing.T) {
	host := serve(t, nil)
	image := blobsOf(platformImage{"amd64", [][]byte{k0sLayer(t, k0sFor(v132))}}, platformImage{"arm64", [][]byte{k0sLayer(t, standin.Program("arm64", v132))}})
	newer := blobsOf(platformImage{"amd64", [][]byte{k0sLayer(t, k0sFor(v133))}})
	upload(t, host, "site/k0sproject/k0s", "v1.32.8-k0s.0", image)
	upload(t, host, "site/k0sproject/k0s", "v1.33.1-k0s.10", newer)
	of := func(tag, digest, status, platforms string) string {
		return fmt.Sprintf(`{"kind":"image","repository":"k0sproject/k0s","tag":%q,"digest":%q,"status":%q,"platforms":[%s]}`+"\n", tag, digest, status, platforms)
	}
	a := of("v1.32.8-k0s.0", image.top.Digest, "pushed", `"linux/amd64","linux/arm64","linux/s390x","unknown/unknown"`)
	b := of("v1.33.1-k0s.10", newer.top.Digest, "exists", `"linux/amd64"`)
	other := `{"kind":"image","repository":"velero/velero","tag":"v1.17.0","digest":"` + newer.top.Digest + `"}` + "\n"
	signature := `{"kind":"image","repository":"k0sproject/k0s","tag":"sha256-12.sig","digest":"` + newer.top.Digest + `"}` + "\n"
	bad := `{"kind":"bundle","path":"/b.tgz","signature":"bad"}` + "\n"
	for _, tt := range []struct {
		name, records, args string
		want                string // names in the directory
		err                 string
	}{
		{"the newest", a + b + other + signature, "", v133, ""},
		{"in any order", signature + other + b + a, "", v133, ""},
		{"one", a + b, "--k0s-version " + v132, v132, ""},
		{"each, for its platforms", a + b, "--name", "k0s-v1.32.8+k0s.0-amd64 k0s-v1.32.8+k0s.0-arm64 k0s-v1.33.1+k0s.10-amd64", ""},
		{"each, for one platform", a, "--name --platform linux/arm64", "k0s-v1.32.8+k0s.0-arm64", ""},
		{"the later of two records", of("v1.32.8-k0s.0", newer.top.Digest, "pushed", "") + a, "", v132, ""},
		{"without platforms", of("v1.32.8-k0s.0", image.top.Digest, "pushed", ""), "--name", "k0s-v1.32.8+k0s.0-amd64", ""},

		{"moved", of("v1.33.1-k0s.10", image.top.Digest, "pushed", ""), "", "", "the tag has moved: the registry has " + newer.top.Digest + ", not " + image.top.Digest},
		{"absent", a, "--k0s-version v1.31.0", "", "does not contain k0s v1.31.0, only v1.32.8+k0s.0"},
		{"none", other + signature, "", "", "no record names an image k0sproject/k0s"},
		{"nothing", "", "", "", "no record names an image k0sproject/k0s"},
		{"not pushed", of("v1.32.8-k0s.0", image.top.Digest, "failed", ""), "", "", "no record names an image k0sproject/k0s"},
		{"no digest", of("v1.32.8-k0s.0", "", "pushed", ""), "", "", "has no digest"},
		{"a bad signature", a + bad, "", "", "signature"},
		{"no records", "text\n", "", "", "not a JSON record"},
		{"a tag with it", a, "--from " + host + "/site/k0sproject/k0s:v1.32.8-k0s.0", "", "--from and a bundle are mutually exclusive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "k0s")
			args := append([]string{"--from", host + "/site", "--to", to}, append(strings.Fields(tt.args), "-")...)
			out, _, err := run1(t, strings.NewReader(tt.records), args...)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%v, want %q", err, tt.err)
				}
				if _, err := os.Lstat(to); err == nil {
					t.Error("something was written")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(out, tt.records) {
				t.Errorf("the records did not pass on: %q", out)
			}
			files := records(t, out)
			if !slices.IsSortedFunc(files, func(a, b record.File) int { return strings.Compare(a.Path, b.Path) }) {
				t.Errorf("%+v are not in the order of their versions", files)
			}
			if strings.Contains(tt.args, "--name") {
				if got := names(t, to); got != tt.want {
					t.Errorf("%s, want %s", got, tt.want)
				}
			} else if len(files) != 1 || files[0].Version != tt.want || files[0].Status != record.StatusWritten {
				t.Errorf("%+v, want %s", files, tt.want)
			}
		})
	}
}

// TestPushedThroughAWrongProxy checks that a wrong setting is reported as such.
func TestPushedThroughAWrongProxy(t *testing.T) {
	host := serve(t, nil)
	t.Setenv("HTTP_PROXY", "http://[proxy")
	line := `{"kind":"image","repository":"k0sproject/k0s","tag":"v1.32.8-k0s.0","digest":"` + digestOf(nil) + `"}` + "\n"
	_, _, err := run1(t, strings.NewReader(line), "--from", host, "--to", filepath.Join(t.TempDir(), "k0s"), "-")
	if !cli.IsMisuse(err) || !strings.Contains(err.Error(), "HTTP_PROXY") {
		t.Errorf("%v, want misuse about HTTP_PROXY", err)
	}
}
