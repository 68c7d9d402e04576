package pipe

import (
	"net/netip"
	"strings"
	"testing"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// TestSite: the registry that records describe.
func TestSite(t *testing.T) {
	var s Site
	for line, err := range record.Read(strings.NewReader(`{"kind":"image","repository":"a","tag":"1","digest":"sha256:a","registry":"10.0.0.5:5000","prefix":"k0rdent-enterprise","status":"pushed"}
{"kind":"image","repository":"b","tag":"1","digest":"sha256:b","status":"failed"}
{"kind":"image","repository":"c","tag":"1"}
{"kind":"file","path":"/x"}
{"kind":"registry","address":"0.0.0.0:5000"}
`)) {
		if err == nil {
			err = s.Take(line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if s.At.String() != "10.0.0.5:5000/k0rdent-enterprise" || s.Failed != 1 || len(s.Images) != 1 || s.Images[0].Digest != "sha256:a" || s.Registry == nil {
		t.Errorf("%+v", s)
	}
}

// TestAddress: images pushed through the loopback interface are served to
// others from this host's address.
func TestAddress(t *testing.T) {
	own := netip.MustParseAddr("192.0.2.7")
	for _, tt := range []struct {
		name, at string
		registry *record.Registry
		want     string
	}{
		{"where oci-push sent it", "10.0.0.2:5000/p", &record.Registry{Address: "0.0.0.0:5000"}, "10.0.0.2:5000/p"},
		{"pushed to localhost, served everywhere", "localhost:5000/p", &record.Registry{Address: "[::]:5000"}, "192.0.2.7:5000/p"},
		{"served everywhere", "", &record.Registry{Address: "0.0.0.0:5001"}, "192.0.2.7:5001"},
		{"served on one address", "", &record.Registry{Address: "10.0.0.3:5001"}, "10.0.0.3:5001"},
		{"pushed to localhost alone", "localhost:5000", nil, "localhost:5000"},
		{"nothing", "", nil, ""},
	} {
		at, _ := ref.ParseSite(tt.at)
		if got := (Site{At: at, Registry: tt.registry}).Address(own); got.String() != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := (Site{Registry: &record.Registry{Address: "0.0.0.0:5001"}}).Address(netip.Addr{}); got.Host != "0.0.0.0:5001" {
		t.Errorf("without an own address: %s", got)
	}
}
