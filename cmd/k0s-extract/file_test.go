package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	standin "k0rdent-airgap/tests/k0s"
)

// oldKind makes a k0s as built before 1.36, with gzip streams behind the program.
func oldKind(t *testing.T, version string) []byte {
	t.Helper()
	p := bytes.TrimSuffix(k0sFor(version), standin.Payload())
	return append(append(p, zipped(t, []byte("kubelet"))...), zipped(t, bytes.Repeat([]byte("containerd"), 1000))...)
}

// sectionsLast makes a k0s whose section header table comes last, as linkers
// other than Go's place it.
func sectionsLast(t *testing.T) []byte {
	t.Helper()
	p := bytes.TrimSuffix(k0sFor(v132), standin.Payload())
	binary.LittleEndian.PutUint64(p[40:], uint64(len(p)))             // shoff
	binary.LittleEndian.PutUint16(p[58:], 64)                         // shentsize
	binary.LittleEndian.PutUint16(p[60:], 2)                          // shnum
	binary.LittleEndian.PutUint16(p[62:], 1)                          // shstrndx
	table := make([]byte, 128)                                        // a null section and an empty table of names
	binary.LittleEndian.PutUint32(table[68:], uint32(elf.SHT_STRTAB)) // its type
	binary.LittleEndian.PutUint64(table[64+24:], uint64(len(p)))      // its offset
	binary.LittleEndian.PutUint64(table[64+32:], 1)                   // its size
	return append(append(p, table...), zipped(t, []byte("kubelet"))...)
}

// TestFile checks which files are accepted as k0s, and their versions.
func TestFile(t *testing.T) {
	whole, old := k0sFor(v132), oldKind(t, v132)
	arm := standin.Program("arm64", v132)
	for name, tt := range map[string]struct {
		file    string
		content []byte
		mode    fs.FileMode
		args    string
		version string // in the record
		want    string // error
	}{
		"the vendor's name":        {"k0s-v1.32.8+k0s.0-amd64", whole, 0o644, "", v132, ""},
		"its other spelling":       {"k0s-v1.32.8-k0s.0-amd64", whole, 0o644, "", v132, ""},
		"without an architecture":  {"k0s-v1.32.8+k0s.0", whole, 0o644, "", v132, ""},
		"before 1.36":              {"k0s-v1.32.8+k0s.0-amd64", old, 0o644, "", v132, ""},
		"sections last":            {"k0s-v1.32.8+k0s.0-amd64", sectionsLast(t), 0o644, "", v132, ""},
		"run for its version":      {"k0s", whole, 0o755, "", v132, ""},
		"flag":                     {"k0s", whole, 0o644, "--k0s-version " + v132, v132, ""},
		"version unknown":          {"k0s", whole, 0o644, "", "", ""},
		"for another machine":      {"k0s-v1.32.8+k0s.0-arm64", arm, 0o644, "--platform linux/arm64", v132, ""},
		"another machine, unknown": {"k0s", arm, 0o755, "--platform linux/arm64", "", ""},

		"name and flag differ":      {"k0s-v1.32.8+k0s.0-amd64", whole, 0o644, "--k0s-version " + v133, "", "file name says k0s v1.32.8+k0s.0"},
		"wrong machine":             {"k0s-v1.32.8+k0s.0-arm64", arm, 0o644, "", "", "wrong architecture: built for arm64, not for amd64"},
		"named, of unknown version": {"k0s", whole, 0o644, "--name", "", "cannot determine its k0s version"},
		"cut off in the program":    {"k0s-v1.32.8+k0s.0-amd64", whole[:500], 0o644, "", "", "no payload"},
		"cut off behind it":         {"k0s-v1.32.8+k0s.0-amd64", bytes.TrimSuffix(whole, standin.Payload()), 0o644, "", "", "no payload"},
		"cut off in the zip":        {"k0s-v1.32.8+k0s.0-amd64", whole[:len(whole)-10], 0o644, "", "", "no payload"},
		"bit in the zip":            {"k0s-v1.32.8+k0s.0-amd64", flip(whole, []byte("stand-in carries")), 0o644, "", "", "payload is damaged: containerd"},
		"cut off in a stream":       {"k0s-v1.32.8+k0s.0-amd64", old[:len(old)-6], 0o644, "", "", "payload is damaged"},
		"an error page":             {"k0s-v1.32.8+k0s.0-amd64", []byte("<html><title>404</title></html>"), 0o644, "", "", "not a program for linux"},
		"empty":                     {"k0s-v1.32.8+k0s.0-amd64", nil, 0o644, "", "", "not a program for linux"},
		"an object file":            {"k0s-v1.32.8+k0s.0-amd64", objectFile(whole), 0o644, "", "", "not a program for linux"},
	} {
		t.Run(name, func(t *testing.T) {
			path, to := filepath.Join(t.TempDir(), tt.file), filepath.Join(t.TempDir(), "k0s")
			writeFile(t, path, tt.content, tt.mode)
			for _, plan := range []string{"--plan", ""} {
				out, _, err := run1(t, nil, append(strings.Fields(plan+" "+tt.args), "--to", to, "--from", path)...)
				if tt.want != "" {
					if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
						t.Errorf("%v, want %q about the file", err, tt.want)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if r := records(t, out); r[0].Version != tt.version || r[0].Source != "file "+path || r[0].Digest != digestOf(tt.content) {
					t.Errorf("%+v, want version %q and the file as its source", r, tt.version)
				}
			}
			if tt.want == "" {
				checkFile(t, to, tt.content)
			} else if got := names(t, filepath.Dir(to)); got != "" {
				t.Errorf("left behind: %s", got)
			}
		})
	}
	if _, _, err := run1(t, nil, "--from", filepath.Join(t.TempDir(), "gone"), "--to", "/dev/null/x"); err == nil || cli.Code(err) != 1 {
		t.Errorf("a missing file: %v", err)
	}
	if _, _, err := run1(t, nil, "--from", t.TempDir(), "--to", "/dev/null/x"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	to := filepath.Join(t.TempDir(), "k0s")
	writeFile(t, to, k0sFor(v132), 0o755)
	unknown := filepath.Join(t.TempDir(), "download")
	writeFile(t, unknown, k0sFor(v133), 0o644)
	if _, _, err := run1(t, nil, "--from", unknown, "--to", to); err == nil || !strings.Contains(err.Error(), "the version of the new file is unknown") {
		t.Errorf("unknown over known: %v", err)
	}
}

func flip(p, at []byte) []byte {
	p = bytes.Clone(p)
	p[bytes.LastIndex(p, at)] ^= 1
	return p
}

func objectFile(p []byte) []byte {
	p = bytes.Clone(p)
	p[16] = byte(elf.ET_REL)
	return p
}

// endless is a payload that inflates without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestEndlessPayload checks that the payload of a file has a limit, too.
func TestEndlessPayload(t *testing.T) {
	if err := inflateAll(endless{}); !errors.Is(err, errInflated) {
		t.Errorf("%v, want %v", err, errInflated)
	}
}

// FuzzWhole checks that no content makes checkWhole panic, and that what it
// accepts is a program for the requested machine.
func FuzzWhole(f *testing.F) {
	f.Add(k0sFor(v132))
	f.Add(bytes.TrimSuffix(k0sFor(v132), standin.Payload()))
	f.Add([]byte("\x7fELF\x01\x01\x01 and more that is none of it"))
	f.Fuzz(func(t *testing.T, p []byte) {
		err := checkWhole(bytes.NewReader(p), int64(len(p)), here())
		if err != nil {
			return
		}
		if m, err := machineOf(p[:elfHead]); err != nil || m != machines()[here().Architecture] {
			t.Errorf("accepted, and machineOf = %v, %v", m, err)
		}
	})
}

// FuzzFileVersion checks that a version read from a name survives a round trip.
func FuzzFileVersion(f *testing.F) {
	for _, name := range []string{"k0s-v1.32.8+k0s.0-amd64", "k0s-v1.35.1-k0s.1-arm64", "k0s-v1.36.3", "k0s-v1.35.1-rc.1+k0s.0", "k0s-v1-amd64"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		v := fileVersion(name)
		if v == nil {
			return
		}
		again := fileVersion(v.FileName("riscv64"))
		if again == nil || *again != *v {
			t.Errorf("fileVersion(%q) = %v, whose file name has %v", name, v, again)
		}
	})
}
