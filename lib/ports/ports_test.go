package ports

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/tests/machine"
)

func TestHolderIsThisProcess(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			ln, err := net.Listen(network, ":0")
			if err != nil {
				machine.Skip(t, "no %s here: %v", network, err)
			}
			defer ln.Close()
			port := ln.Addr().(*net.TCPAddr).Port
			if got, want := Holder(Proc, port), fmt.Sprintf("(process %d)", os.Getpid()); !strings.HasSuffix(got, want) {
				t.Errorf("Holder = %q, want ...%s", got, want)
			}
		})
	}
}

func TestHolderNobodyKnows(t *testing.T) {
	proc := t.TempDir()
	if got := Holder(proc, 5000); got != "another program" {
		t.Errorf("without tables: %q", got)
	}
	table := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 00000000:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1\n" +
		"   1: 0100007F:1389 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 78 1\n"
	if err := os.MkdirAll(filepath.Join(proc, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(proc, "net/tcp"), []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := Listeners(proc, "tcp"); len(got) != 1 || got[5000] != "77" {
		t.Errorf("Listeners = %v, want port 5000 only", got)
	}
	if got := Holder(proc, 5000); got != "another program" {
		t.Errorf("a socket of a process that cannot be seen: %q", got)
	}
}
