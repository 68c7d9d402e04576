package house

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"k0rdent-airgap/tests/machine"
)

// maxBinary bounds each tool, in bytes: the set must stay small enough to
// carry next to a bundle and to copy to a worker.
const maxBinary = 20_000_000

// larger has tools with a bound of their own: Helm and a Kubernetes client are
// 50 MB, and in one tool only. k0s-up is copied to every node.
var larger = map[string]int64{"k0rdent-install": 80_000_000, "k0s-up": 16_000_000}

// machines are the platforms of a release.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// built is where tests/run.sh has just built the tools for each platform, if the
// variable TOOLS_BUILT says so.
var built = map[string]string{"amd64": "bin", "arm64": ".cache/arm64"}

// TestBinaries checks the tools as a release has them. By itself it builds those for
// this machine, since each platform takes half a minute to link.
func TestBinaries(t *testing.T) {
	if os.Getenv("TOOLS_BUILT") != "" {
		for arch, want := range machines {
			for _, tool := range tools(t) {
				checkBinary(t, filepath.Join(root, built[arch], tool), want)
			}
		}
		return
	}
	want, known := machines[runtime.GOARCH]
	if !known {
		machine.Skip(t, "no release for %s", runtime.GOARCH)
	}
	dir := t.TempDir()
	cmd := exec.Command(machine.NeedProgram(t, "make"), "-s", "build", "BIN="+dir)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	for _, tool := range tools(t) {
		checkBinary(t, filepath.Join(dir, tool), want)
	}
}

func checkBinary(t *testing.T, path string, want elf.Machine) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
		return
	}
	name := filepath.Base(path)
	t.Logf("%s %v: %.1f MB", name, want, float64(info.Size())/1e6)
	most := int64(maxBinary)
	if own, found := larger[name]; found {
		most = own
	}
	if info.Size() > most {
		t.Errorf("%s for %v: %d bytes, want at most %d", name, want, info.Size(), most)
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	if f.Machine != want {
		t.Errorf("%s is for %v, want %v", name, f.Machine, want)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s for %v is not static", name, want)
		}
	}
}

// tools lists cmd/.
func tools(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "cmd"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
