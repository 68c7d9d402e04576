package oci

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestPlatforms(t *testing.T) {
	for s, want := range map[string]string{
		"linux/amd64":                 "linux/amd64",
		"linux/amd64,linux/arm64":     "linux/amd64,linux/arm64",
		"linux/arm/v6,linux/arm":      "linux/arm/v6,linux/arm",
		"windows/amd64:10.0.1":        "windows/amd64:10.0.1",
		"linux/x86_64,linux/aarch64":  "linux/amd64,linux/arm64",
		"linux/arm64/v8,linux/armhf":  "linux/arm64,linux/arm/v7",
		"Linux/AMD64/v1,linux/386":    "linux/amd64,linux/386",
		"linux/arm/7,linux/armel":     "linux/arm/v7,linux/arm/v6",
		"linux/arm64,linux/aarch64/8": "",
		"linux":                       "",
		"/amd64":                      "",
		"linux/":                      "",
		"linux/amd64,":                "",
		"linux/arm,linux/arm":         "",
	} {
		p, err := ParsePlatforms(s)
		if (err != nil) != (want == "") || p.String() != want {
			t.Errorf("ParsePlatforms(%q) = %v, %v, want %q", s, p, err, want)
		}
	}
}

// A mistyped platform is refused, and the one that was meant is named; one that
// is only unknown is not.
func TestMistypedPlatforms(t *testing.T) {
	for s, want := range map[string]string{
		"linux/amd46":             "unknown platform linux/amd46 (did you mean linux/amd64?)",
		"linux/amd64,liunx/arm64": "unknown platform liunx/arm64 (did you mean linux/arm64?)",
		"linux/ppc64el":           "unknown platform linux/ppc64el (did you mean linux/ppc64le?)",
		"amd64":                   "must be OS/ARCHITECTURE (did you mean linux/amd64?)",
		"x86_64":                  "must be OS/ARCHITECTURE (did you mean linux/amd64?)",
		"linux":                   "must be OS/ARCHITECTURE such as linux/amd64",
		"linux/e2k":               "",
		"wasi/wasm":               "",
		"linux/riscv64":           "",
	} {
		switch _, err := ParsePlatforms(s); {
		case err == nil && want != "", err != nil && err.Error() != want:
			t.Errorf("ParsePlatforms(%q) = %v, want %s", s, err, want)
		}
	}
}

func TestRuns(t *testing.T) {
	for _, tt := range []struct {
		want, have string
		runs       bool
	}{
		{"linux/amd64", "linux/amd64", true},
		{"linux/x86_64", "linux/amd64", true},
		{"linux/amd64", "linux/x86_64", true},
		{"linux/amd64", "linux/arm64", false},
		{"linux/amd64", "windows/amd64", false},
		{"linux/arm64/v8", "linux/arm64", true},
		{"linux/arm64", "linux/arm64/v8", true},
		{"linux/aarch64", "linux/arm64/v8", true},
		{"linux/arm64/v8", "linux/arm/v7", false},
		{"linux/arm", "linux/arm/v6", true},
		{"linux/arm/v7", "linux/arm", true},
		{"linux/arm/v7", "linux/arm/v6", true},
		{"linux/arm/v6", "linux/arm/v7", false},
		{"linux/armel", "linux/arm", false},
		{"linux/amd64/v3", "linux/amd64", true},
		{"linux/amd64/v2", "linux/amd64/v3", false},
	} {
		want, _ := v1.ParsePlatform(tt.want)
		have, _ := v1.ParsePlatform(tt.have)
		if got := Runs(*want, *have); got != tt.runs {
			t.Errorf("Runs(%s, %s) = %v, want %v", tt.want, tt.have, got, tt.runs)
		}
	}
}
