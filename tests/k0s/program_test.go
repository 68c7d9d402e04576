package k0s

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"k0rdent-airgap/tests/machine"
)

func TestProgram(t *testing.T) {
	for arch, want := range map[string]struct {
		machine  elf.Machine
		emulator string // on a machine of the other architecture
	}{"amd64": {elf.EM_X86_64, "qemu-x86_64-static"}, "arm64": {elf.EM_AARCH64, "qemu-aarch64-static"}} {
		t.Run(arch, func(t *testing.T) {
			p := Program(arch, "v1.36.3+k0s.2")
			f, err := elf.NewFile(bytes.NewReader(p))
			if err != nil || f.Machine != want.machine {
				t.Fatalf("machine %v, %v, want %v", f.Machine, err, want.machine)
			}
			z, err := zip.NewReader(bytes.NewReader(p), int64(len(p)))
			if err != nil || len(z.File) != 1 {
				t.Errorf("zip at the end: %v, want one file in it", err)
			}
			name := filepath.Join(t.TempDir(), "k0s")
			if err := os.WriteFile(name, p, 0o755); err != nil {
				t.Fatal(err)
			}
			run := []string{name}
			if arch != runtime.GOARCH {
				run = []string{machine.NeedProgram(t, want.emulator), name}
			}
			log := filepath.Join(t.TempDir(), "log")
			for _, args := range []string{"version", "airgap list-images --all", "no such command"} {
				cmd := exec.Command(run[0], append(run[1:], strings.Fields(args)...)...)
				cmd.Env = append(os.Environ(), "K0S_LOG="+log, "K0S_VERSION=")
				out, err := cmd.CombinedOutput()
				switch args {
				case "version":
					if string(out) != "v1.36.3+k0s.2\n" || err != nil {
						t.Errorf("k0s %s = %q, %v, want the version", args, out, err)
					}
				case "no such command":
					if string(out) != "Error: unknown command \"no\" for \"k0s\"\n" || err == nil {
						t.Errorf("k0s %s = %q, %v, want an error", args, out, err)
					}
				default:
					if !strings.HasPrefix(string(out), "quay.io/k0sproject/pause:") || err != nil {
						t.Errorf("k0s %s = %q, %v, want images", args, out, err)
					}
				}
			}
			got, err := os.ReadFile(log)
			if want := "version\nairgap list-images --all\nno such command\n"; string(got) != want || err != nil {
				t.Errorf("log %q, %v, want %q", got, err, want)
			}
		})
	}
}
