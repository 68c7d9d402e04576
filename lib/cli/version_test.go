package cli

import (
	"crypto/fips140"
	"runtime/debug"
	"testing"
)

func TestModule(t *testing.T) {
	want := " fips140=v1.0.0"
	if !fips140.Enabled() {
		want += " (off)"
	}
	for _, tt := range []struct {
		name     string
		settings []debug.BuildSetting
		want     string
	}{
		{"not selected", []debug.BuildSetting{{Key: "GOOS", Value: "linux"}}, ""},
		{"off", []debug.BuildSetting{{Key: "GOFIPS140", Value: "off"}}, ""},
		{"selected", []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "GOFIPS140", Value: "v1.0.0"}}, want},
	} {
		if got := module(tt.settings); got != tt.want {
			t.Errorf("%s: module = %q, want %q", tt.name, got, tt.want)
		}
	}
}
