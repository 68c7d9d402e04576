package k0s

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHost(t *testing.T) {
	proc := t.TempDir()
	if _, err := Memory(proc); err == nil || CPUs(proc) != 0 {
		t.Error("a host without tables has memory or CPUs")
	}
	for name, text := range map[string]string{
		"meminfo": "Buffers: 1 kB\nMemTotal:        8388608 kB\nMemFree: 2 kB\n",
		"cpuinfo": strings.Repeat("processor\t: 0\nmodel name\t: a processor\n\n", 3),
	} {
		if err := os.WriteFile(filepath.Join(proc, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := Memory(proc); n != 8<<30 || err != nil {
		t.Errorf("Memory = %d, %v, want 8 GiB", n, err)
	}
	if n := CPUs(proc); n != 3 {
		t.Errorf("CPUs = %d, want 3", n)
	}
}
