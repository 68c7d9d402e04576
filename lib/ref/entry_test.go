package ref

import (
	"errors"
	"strings"
	"testing"
)

// The first column is the result of the vendor's script, run in a shell: "fails" if
// the copy fails, "stray" if it pushes something that is not an archive.
func TestResolve(t *testing.T) {
	for _, tt := range []struct {
		name, entry string
		meta        Metadata
		want        string // "" for an error
		warning     string // a part of it
	}{
		// One underscore: nothing to choose.
		{"chart", "charts/k0rdent-enterprise_1.2.3.tar", Metadata{Chart: "k0rdent-enterprise", Version: "1.2.3"}, "charts/k0rdent-enterprise:1.2.3", ""},
		{"chart, v in version", "charts/cert-manager_v1.16.4.tar", Metadata{Chart: "cert-manager", Version: "v1.16.4"}, "charts/cert-manager:v1.16.4", ""},
		{"dots and hyphens in tag", "k8s/kube-router_v2.4.1-iptables1.8.9-0.tar", Metadata{}, "k8s/kube-router:v2.4.1-iptables1.8.9-0", ""},
		{"k0s tag", "k0sproject/k0s_v1.32.8-k0s.0.tar", Metadata{}, "k0sproject/k0s:v1.32.8-k0s.0", ""},
		{"mirantis tag", "capi/capi-openstack-controller_v0.12.5-mirantis.0.tar", Metadata{}, "capi/capi-openstack-controller:v0.12.5-mirantis.0", ""},
		{"at the root", "alpine_3.22.tar", Metadata{}, "alpine:3.22", ""},
		{"deep", "a/b/c/d_1.tar", Metadata{}, "a/b/c/d:1", ""},
		{"annotation agrees", "x/a_v1.tar", Metadata{Annotation: "v1"}, "x/a:v1", ""},
		{"annotation of another tag", "x/a_v1.tar", Metadata{Annotation: "latest"}, "x/a:v1", ""},
		{"chart disagrees", "charts/a_1.0.tar", Metadata{Chart: "a", Version: "1.1"}, "charts/a:1.0", "calls itself a 1.1"},
		{"chart's name disagrees", "charts/a_1.0.tar", Metadata{Chart: "b", Version: "1.0"}, "charts/a:1.0", "calls itself b 1.0"},

		// Several underscores: the vendor's rule gives x/a_b:b_v1.2.3.
		{"last of two", "x/a_b_v1.2.3.tar", Metadata{}, "x/a_b:v1.2.3", "several underscores"},
		{"two, resolved by the annotation", "x/a_b_v1.2.3.tar", Metadata{Annotation: "v1.2.3"}, "x/a_b:v1.2.3", ""},
		{"two, tag with underscore", "x/a_b_v1.tar", Metadata{Annotation: "b_v1"}, "x/a:b_v1", ""},
		{"two, annotation is not the end of the name", "x/a_b_v1.tar", Metadata{Annotation: "v2"}, "x/a_b:v1", "several underscores"},
		{"annotation ends the name, but not after a separator", "x/a_b_v1.tar", Metadata{Annotation: "1"}, "x/a_b:v1", "several underscores"},
		{"annotation is a reference", "x/a_b_v1.tar", Metadata{Annotation: "registry.example.com:5000/x/a:b_v1"}, "x/a:b_v1", ""},
		{"annotation is a reference with digest", "x/a_b_v1.tar", Metadata{Annotation: "quay.io/x/a:b_v1@sha256:00"}, "x/a:b_v1", ""},
		{"annotation is a reference without tag", "x/a_b_v1.tar", Metadata{Annotation: "localhost:5000/b_v1"}, "x/a_b:v1", "several underscores"},

		// The vendor's rule gives x/chart_1.2.3:1.2.3_build.
		{"build metadata, resolved by the chart", "x/chart_1.2.3_build.tar", Metadata{Chart: "chart", Version: "1.2.3+build"}, "x/chart:1.2.3_build", ""},
		{"build metadata, unresolved", "x/chart_1.2.3_build.tar", Metadata{}, "x/chart_1.2.3:build", "several underscores"},
		{"chart with an underscore in its name", "charts/my_chart_1.0.tar", Metadata{Chart: "my_chart", Version: "1.0"}, "charts/my_chart:1.0", ""},

		// The vendor's copy fails: its tag is dir/x_1.0.
		{"underscore in a directory", "my_dir/x_1.0.tar", Metadata{}, "my_dir/x:1.0", ""},
		{"underscore only in a directory", "my_dir/x.tar", Metadata{}, "", "no _"},

		// The vendor's copy fails: its tag is provider/x.
		{"no separator", "provider/x.tar", Metadata{}, "", "no _"},
		{"no separator, but a chart", "charts/x.tar", Metadata{Chart: "x", Version: "1.0+b"}, "charts/x:1.0_b", ""},
		{"no separator, another chart", "charts/x.tar", Metadata{Chart: "y", Version: "1.0"}, "", "no _"},

		{"colon", "k0sproject/k0s:v1.32.8-k0s.0.tar", Metadata{}, "k0sproject/k0s:v1.32.8-k0s.0", ""},
		{"colon decides", "a_b:v1_x.tar", Metadata{}, "a_b:v1_x", ""},
		{"two colons", "a:b:c.tar", Metadata{}, "", "repository"},

		// The vendor's further bundles: the second and third are cut by
		// "cut -d / -f 3-".
		{"bare metal", "images/k0rdent-bm&images&external&metal3-io&ironic@v29.0.0.tar", Metadata{}, "k0rdent-bm/images/external/metal3-io/ironic:v29.0.0", ""},
		{"bare metal, below bundle", "bundle/charts/k0rdent-bm&charts&capm3-crds@0.2.1.tar", Metadata{Chart: "capm3-crds", Version: "0.2.1"}, "k0rdent-bm/charts/capm3-crds:0.2.1", ""},
		{"a host in the middle", "images/k0rdent-bm&images&external&gcr.io&kubebuilder&kube-rbac-proxy@v0.5.1-amd64--2025.tar", Metadata{}, "k0rdent-bm/images/external/gcr.io/kubebuilder/kube-rbac-proxy:v0.5.1-amd64--2025", ""},
		{"a host in front", "images/msr.example.com&ceph&mcp&ceph-controller@v1.0.11.tar", Metadata{}, "mcp/ceph-controller:v1.0.11", ""},
		{"a host and a name", "quay.io&ceph@v19.tar", Metadata{}, "ceph:v19", ""},
		{"a host in front of bare metal", "images/registry.example.com&k0rdent-bm&images&ironic@v29.tar", Metadata{}, "k0rdent-bm/images/ironic:v29", ""},
		{"tag and digest", "images/k0rdent-bm&images&ironic@v29@sha256@" + strings.Repeat("0a", 32) + ".tar", Metadata{}, "k0rdent-bm/images/ironic:v29", ""},
		{"tag and digest, with &", "images/k0rdent-bm&images&ironic@v29@sha256&" + strings.Repeat("0a", 32) + ".tar", Metadata{}, "k0rdent-bm/images/ironic:v29", ""},
		{"digest alone", "images/k0rdent-bm&images&ironic@sha256@" + strings.Repeat("0a", 32) + ".tar", Metadata{}, "", "repository"},
		{"digest alone, with &", "images/k0rdent-bm&images&ironic@sha256&" + strings.Repeat("0a", 32) + ".tar", Metadata{}, "", "no @ between"},
		{"@ alone", "images/ntp@2025-04-16.tar", Metadata{Annotation: "2025-04-16"}, "ntp:2025-04-16", ""},
		{"underscores in front of @", "a&b_c@1_0.tar", Metadata{}, "a/b_c:1_0", ""},
		{"& and underscore", "charts/a&b_1.tar", Metadata{}, "a/b:1", ""},
		{"nothing between &", "images/a&&b@1.tar", Metadata{}, "", "repository"},
		{"up and out", "images/a&..&b@1.tar", Metadata{}, "", "repository"},
		{"two @", "images/a@b@1.tar", Metadata{}, "", "repository"},

		{"no .tar", "x/a_1.0.img", Metadata{}, "x/a:1.0.img", "does not end in .tar"},
		{"capitals", "X/a_1.0.tar", Metadata{}, "", "lower case"},
		{"backslash", `x\a_1.0.tar`, Metadata{}, "", "repository"},
		{"blank", "x/a b_1.0.tar", Metadata{}, "", "repository"},
		{"empty tag", "x/a_.tar", Metadata{}, "", "tag"},
		{"empty repository", "_1.0.tar", Metadata{}, "", "repository"},
		{"hidden file", "x/._a_1.0.tar", Metadata{}, "", "repository"},
		{"tag too long", "a_" + strings.Repeat("1", 129) + ".tar", Metadata{}, "", "tag"},
		{"longest tag", "a_" + strings.Repeat("1", 128) + ".tar", Metadata{}, "a:" + strings.Repeat("1", 128), ""},
		{"repository too long", strings.Repeat("a", 256) + "_1.tar", Metadata{}, "", "longer"},
		{"gzip", "x/a_1.0.tar.gz", Metadata{}, "x/a:1.0", ""},
		{"tgz", "x/a_1.0.tgz", Metadata{}, "x/a:1.0", ""},
		{"zstd", "x/a_1.0.tar.zst", Metadata{}, "x/a:1.0", ""},
		{"oci", "x/a_1.0.oci", Metadata{}, "x/a:1.0", ""},
		{"plus in a chart's name", "charts/a_1.2.3+b.5.tar", Metadata{Chart: "a", Version: "1.2.3+b.5"}, "charts/a:1.2.3_b.5", ""},
		{"plus in a chart's name, annotated", "charts/a_1.2.3+b.5.tar", Metadata{"1.2.3_b.5", "a", "1.2.3+b.5"}, "charts/a:1.2.3_b.5", ""},
		{"plus in the name of a chart of another version", "charts/a_1+b.tar", Metadata{Chart: "a", Version: "2"}, "charts/a:1_b", "calls itself a 2"},
		{"plus in a chart's repository", "charts/a+b_1.tar", Metadata{Chart: "a+b", Version: "1"}, "", "repository"},
		{"plus in an image's name", "k0s_v1.32.8+k0s.0.tar", Metadata{Annotation: "v1.32.8-k0s.0"}, "", "tag"},
		{"chart version is no tag", "charts/x.tar", Metadata{Chart: "x", Version: "1 0"}, "", "tag"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, warning, err := Resolve(tt.entry, tt.meta)
			if tt.want == "" {
				if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.warning) {
					t.Fatalf("Resolve(%q) = %v, %v, want an ErrInvalid with %q", tt.entry, got, err, tt.warning)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Fatalf("Resolve(%q) = %v, %v, want %s", tt.entry, got, err, tt.want)
			}
			if tt.warning == "" && warning != "" || !strings.Contains(warning, tt.warning) {
				t.Errorf("Resolve(%q) warns %q, want %q", tt.entry, warning, tt.warning)
			}
		})
	}
}

func TestPredict(t *testing.T) {
	for _, tt := range []struct {
		entry, want string
		certain     bool
	}{
		{"charts/kcm_1.2.3.tar", "charts/kcm:1.2.3", true},
		{"my_dir/x_1.0.tar", "my_dir/x:1.0", true},
		{"x/a_b_v1.tar", "x/a_b:v1", false},
		{"a_b:v1_x.tar", "a_b:v1_x", true},
	} {
		got, certain, err := Predict(tt.entry, false)
		if err != nil || got.String() != tt.want || certain != tt.certain {
			t.Errorf("Predict(%q) = %v, %v, %v, want %s, %v", tt.entry, got, certain, err, tt.want, tt.certain)
		}
	}
	if r, _, err := Predict("x.tar", false); !errors.Is(err, ErrInvalid) {
		t.Errorf("Predict(x.tar) = %v, %v, want an error", r, err)
	}
}

func TestGuess(t *testing.T) {
	for entry, want := range map[string]string{
		"x/a_1.0.tar": "x/a", "x/a_b_1.0.tar": "x/a_b", "a/b__c_V1.0-RC_1.tar": "a/b__c", "charts/a_1+b.tgz": "charts/a",
		"provider/x.tar": "provider/x", "X/a_1.tar": "", "_1.tar": "",
	} {
		if got, err := Guess(entry); got != want && err == nil || (err == nil) != (want != "") {
			t.Errorf("Guess(%q) = %q, %v, want %q", entry, got, err, want)
		}
	}
}

func TestParseAnnotation(t *testing.T) {
	for annotation, want := range map[string][2]string{
		"1.0": {"", "1.0"}, "h:5000/a/b:1.0": {"h:5000/a/b", "1.0"}, "h:5000/a/b": {"h:5000/a/b", ""},
		"docker.io/a:1@sha256:00": {"docker.io/a", "1"}, "a@sha256:00": {"a", ""}, "": {"", ""},
	} {
		if repository, tag := ParseAnnotation(annotation); repository != want[0] || tag != want[1] {
			t.Errorf("ParseAnnotation(%q) = %q, %q, want %q", annotation, repository, tag, want)
		}
	}
}

func TestIsFallback(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	for tag, want := range map[string]bool{
		"sha256-" + hex: true, "sha256-" + hex + ".sig": true, "sha512-" + hex + hex: true,
		"sha256-" + hex[2:]: false, "sha256-" + hex + "-x": false, "1.0": false, "": false,
	} {
		if got := IsFallback(tag); got != want {
			t.Errorf("IsFallback(%q) = %v, want %v", tag, got, want)
		}
	}
}

func TestParseOverrides(t *testing.T) {
	got, err := ParseOverrides(strings.NewReader("# why\n\n a/b_c_1.tar\tx/y:1\r\n./with blank.tar   z:2\n"))
	if err != nil || len(got) != 2 || got["a/b_c_1.tar"] != (Reference{Repository: "x/y", Tag: "1"}) || got["with blank.tar"] != (Reference{Repository: "z", Tag: "2"}) {
		t.Fatalf("ParseOverrides = %v, %v", got, err)
	}
	for text, want := range map[string]string{
		"a.tar\n":              "line 1",
		"\na.tar x\n":          "line 2: invalid reference",
		"a.tar X:1\n":          "lower case",
		"a.tar x:1\na.tar y:1": "line 2: duplicate override for entry a.tar",
	} {
		if got, err := ParseOverrides(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseOverrides(%q) = %v, %v, want an error with %q", text, got, err, want)
		}
	}
}

// A name yields a valid reference or an error, and if it was certain, the reference
// yields the name again.
func FuzzEntry(f *testing.F) {
	for _, s := range []string{"charts/kcm_1.2.3.tar", "x/a_b_v1.2.3.tar", "my_dir/x_1.0.tar", "k0s:v1_0.tar", "a__b_1.tar", "provider/x.tar", "x_1.tar.tar",
		"images/k0rdent-bm&images&ironic@v29.0.0.tar", "quay.io&ceph&ceph_x@1_0.tar", "a&@.tar", "&&_1.tar"} {
		f.Add(s, "1.2.3", "kcm", "1.2.3")
	}
	f.Fuzz(func(t *testing.T, entry, annotation, chart, version string) {
		predicted, certain, err := Predict(entry, false)
		if err == nil && predicted.Check() != nil {
			t.Fatalf("Predict(%q) = %v, which is invalid", entry, predicted)
		}
		r, _, resolveErr := Resolve(entry, Metadata{annotation, chart, version})
		if resolveErr == nil && r.Check() != nil {
			t.Fatalf("Resolve(%q) = %v, which is invalid", entry, r)
		}
		if repository, guessErr := Guess(entry); resolveErr == nil && (guessErr != nil || CheckRepository(repository) != nil) {
			t.Fatalf("Guess(%q) = %q, %v, but Resolve = %v", entry, repository, guessErr, r)
		}
		if !certain {
			return
		}
		if resolveErr != nil || r != predicted {
			t.Fatalf("Resolve(%q) = %v, %v, but Predict was certain of %v", entry, r, resolveErr, predicted)
		}
		if !strings.ContainsAny(entry, ":&@") && strings.HasSuffix(entry, ".tar") && r.Entry() != entry {
			t.Fatalf("%q has the reference %v, whose entry is %q", entry, r, r.Entry())
		}
		if again, err := Parse(r.String()); err != nil || again != r {
			t.Fatalf("Parse(%q) = %v, %v", r, again, err)
		}
	})
}

// Overrides never hold an invalid reference or an empty name.
func FuzzOverrides(f *testing.F) {
	f.Add("a_1.tar x/y:1\n# comment\n")
	f.Add("\t \na b c:1")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseOverrides(strings.NewReader(text))
		if err != nil && all != nil {
			t.Fatalf("overrides with an error: %v, %v", all, err)
		}
		for entry, r := range all {
			if entry == "" || r.Check() != nil {
				t.Fatalf("%q → %v", entry, r)
			}
		}
	})
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1:1": true, "127.9.9.9": true, "[::1]:5000": true, "::1": true,
		"10.0.0.5:5000": false, "localhost.evil.example": false, "127.0.0.1.example:80": false, "": false,
	} {
		if got := Loopback(host); got != want {
			t.Errorf("Loopback(%q) = %v, want %v", host, got, want)
		}
	}
}
