package k0s

import (
	"slices"
	"testing"
)

func TestHostDirs(t *testing.T) {
	for host, want := range map[string][]string{
		"":                 {"_default"},
		"quay.io":          {"quay.io", "_default"},
		"10.0.0.5:5000":    {"10.0.0.5_5000_", "10.0.0.5:5000", "_default"},
		"[fd00::5]:5000":   {"[fd00::5]_5000_", "[fd00::5]:5000", "_default"},
		"[fd00::5]":        {"[fd00::5]", "_default"},
		"registry.example": {"registry.example", "_default"},
	} {
		if got := HostDirs(host); !slices.Equal(got, want) {
			t.Errorf("HostDirs(%q) = %q, want %q", host, got, want)
		}
	}
}
