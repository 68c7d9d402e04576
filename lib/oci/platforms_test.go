package oci

import "testing"

func TestPlatforms(t *testing.T) {
	for s, want := range map[string]string{
		"linux/amd64":             "linux/amd64",
		"linux/amd64,linux/arm64": "linux/amd64,linux/arm64",
		"linux/arm/v6,linux/arm":  "linux/arm/v6,linux/arm",
		"windows/amd64:10.0.1":    "windows/amd64:10.0.1",
		"linux":                   "",
		"/amd64":                  "",
		"linux/":                  "",
		"linux/amd64,":            "",
		"linux/arm,linux/arm":     "",
	} {
		p := Platforms{{OS: "of", Architecture: "before"}}
		if err := p.Set(s); (err != nil) != (want == "") || err == nil && p.String() != want {
			t.Errorf("Set(%q): %v, %v, want %q", s, p.String(), err, want)
		}
	}
}
