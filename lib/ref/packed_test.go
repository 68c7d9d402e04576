package ref

import (
	"errors"
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	for _, tt := range []struct{ bundle, entry, want string }{
		{"/m/airgap-bundle-ceph-1.0.11.tar.gz", "images/ceph&mcp&rook&ceph@v1.tar", "rook/ceph:v1.tar"},
		{"/m/airgap-bundle-ceph-1.0.11.tar.gz", "images/ceph&mcp@v1.tar", "mcp:v1.tar"},
		{"/m/airgap-bundle-ceph-1.0.11.tar.gz", "charts/x_1.tar", "charts/x_1.tar"},
		{"/m/airgap-bundle-0.3.0.tar.gz", "images/k0rdent-bm&images&ntp@1.tar", "k0rdent-bm/images/ntp:1.tar"},
		{"-", "images/quay.io&ceph&ceph@v19.tar", "ceph:v19.tar"},
	} {
		got := Plain(tt.bundle, tt.entry)
		if got != tt.want || Plain(tt.bundle, got) != got {
			t.Errorf("Plain(%q, %q) = %q, want %q, and the same again", tt.bundle, tt.entry, got, tt.want)
		}
	}
}

// The names are those that the loop of the vendor's guide makes.
func TestFileName(t *testing.T) {
	long := strings.Repeat("a", maxFilePart)
	for entry, want := range map[string]string{
		"bins/k0rdent-bm&ipa&kernel-caracal-noble-debug-20250624163043": "k0rdent-bm/ipa/kernel-caracal-noble-debug-20250624163043",
		"bundle/bins/k0rdent-bm&ipa&pxe&ipxe.efi":                       "k0rdent-bm/ipa/pxe/ipxe.efi",
		"bins/k0rdent-bm&ipa&ipa.tar.gz":                                "k0rdent-bm/ipa/ipa.gz",
		"bins/k0s-v1.32.6+k0s.0-amd64":                                  "k0s-v1.32.6+k0s.0-amd64",
		"bins/a&b@1":                                                    "a/b:1",
		"bins/a/b":                                                      "a/b",
		"bins/" + long:                                                  long,
		"bins/" + long + "a":                                            "",
		"bins/..&..&etc&passwd":                                         "",
		"bins/&etc&passwd":                                              "",
		"bins/a&":                                                       "",
		"bins/a&.ssh":                                                   "",
		"bins/-rf":                                                      "",
		"bins/a b":                                                      "",
		"bins/a%2e":                                                     "",
		`bins/a\b`:                                                      "",
		"bins/ä":                                                        "",
		"bins/" + strings.Repeat("a&", 300) + "a": "",
	} {
		got, err := FileName(entry)
		if want == "" != errors.Is(err, ErrInvalid) || want != "" && got != want {
			t.Errorf("FileName(%q) = %q, %v, want %q", entry, got, err, want)
		}
		if !IsFile(entry) {
			t.Errorf("IsFile(%q) = false", entry)
		}
	}
	for _, entry := range []string{"charts/a_1.tar", "bins", "images/a&bins&b@1.tar", "mybins/a", "README.txt"} {
		if IsFile(entry) {
			t.Errorf("IsFile(%q) = true", entry)
		}
	}
}

func TestForFile(t *testing.T) {
	for name, want := range map[string]string{
		"k0rdent-bm/ipa/kernel-1": "files/k0rdent-bm/ipa:kernel-1",
		"ipxe.efi":                "files:ipxe.efi",
		"A/b+c":                   "files/a:b-c_343921e2859abc56",
	} {
		got := ForFile(name)
		if got.String() != want {
			t.Errorf("ForFile(%q) = %v, want %s", name, got, want)
		}
	}
}

// Every file has a valid reference of its own.
func FuzzForFile(f *testing.F) {
	for _, s := range []string{"a/b", "a/B", "a+b", "a:b", "A/b", "+/+", strings.Repeat("a/", 150) + "b", strings.Repeat("b", 150)} {
		f.Add(s, s+"x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if CheckFileName(a) != nil || CheckFileName(b) != nil {
			return
		}
		x, y := ForFile(a), ForFile(b)
		if x.Check() != nil {
			t.Fatalf("ForFile(%q) = %v: %v", a, x, x.Check())
		}
		if a != b && x == y {
			t.Fatalf("ForFile(%q) and ForFile(%q) are both %v", a, b, x)
		}
		own := ForFile(ForFile(a).Tag)
		if own.Check() != nil || a != x.Tag && own == x {
			t.Fatalf("ForFile(%q) is the reference of the file %q as well", a, x.Tag)
		}
	})
}
