package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/clitest"
	standin "k0rdent-airgap/tests/k0s"
	"k0rdent-airgap/tests/machine"
	"k0rdent-airgap/tests/samplebundle"
)

func TestMain(m *testing.M) { os.Exit(machine.Run(m)) }

func TestDocs(t *testing.T) {
	var cfg config
	clitest.Docs(t, cfg.flags(), usage, "../..")
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// TestForms extracts k0s from each format of a bundle, twice.
func TestForms(t *testing.T) {
	for _, form := range append(forms, "stdin") {
		t.Run(form, func(t *testing.T) {
			image := blobsOf(platformImage{"arm64", [][]byte{k0sLayer(t, standin.Program("arm64", v132))}},
				platformImage{"amd64", [][]byte{k0sLayer(t, k0sFor(v132))}})
			path := writeBundle(t, map[string]string{"stdin": "tar.gz"}[form]+map[bool]string{true: form}[form != "stdin"],
				entry{"a_1.0.tar", []byte("no archive")}, k0sAt(v132, image.archive(t)), entry{"z_1.0.tar", nil})
			to := filepath.Join(t.TempDir(), "new", "bin", "k0s")
			var before uint64
			for _, want := range []string{record.StatusPlanned, record.StatusWritten, record.StatusUnchanged} {
				args := []string{"--to", to}
				if want == record.StatusPlanned {
					args = append(args, "--plan")
				}
				input, operand := os.DevNull, path
				if form == "stdin" {
					input, operand = path, "-"
				}
				stdin, err := os.Open(input)
				if err != nil {
					t.Fatal(err)
				}
				defer stdin.Close()
				out, errs, err := run1(t, stdin, append(args, operand)...)
				if err != nil || errs != "" {
					t.Fatalf("%v, stderr %q", err, errs)
				}
				got := records(t, out)
				if len(got) != 1 || got[0] != (record.File{
					Path: to, Mode: "0755", Size: int64(len(k0sFor(v132))), Digest: digestOf(k0sFor(v132)), Status: want,
					Version: v132, Platform: "linux/amd64", Source: "bundle " + operand + " k0sproject/k0s_v1.32.8-k0s.0.tar",
				}) {
					t.Fatalf("got %+v, want it %s", got, want)
				}
				switch want {
				case record.StatusPlanned:
					if _, err := os.Stat(filepath.Dir(to)); err == nil {
						t.Error("--plan made a directory")
					}
				case record.StatusWritten:
					checkFile(t, to, k0sFor(v132))
					before = inode(t, to)
				case record.StatusUnchanged:
					if inode(t, to) != before {
						t.Error("unchanged, and yet another file")
					}
				}
			}
			if got := names(t, filepath.Dir(to)); got != "k0s" {
				t.Errorf("left behind: %s", got)
			}
		})
	}
}

// TestSample extracts k0s from a bundle that independent code made.
func TestSample(t *testing.T) {
	var b bytes.Buffer
	if _, err := samplebundle.Write(&b, samplebundle.Options{Format: samplebundle.TarZst, Size: 4 << 20, Top: "airgap-bundle-1.2.3"}); err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		to := filepath.Join(t.TempDir(), "k0s")
		out, _, err := run1(t, bytes.NewReader(b.Bytes()), "--to", to, "--platform", "linux/"+arch, "-")
		if err != nil {
			t.Fatal(err)
		}
		if r := records(t, out); r[0].Version != v132 || r[0].Platform != "linux/"+arch {
			t.Errorf("%+v, want %s for %s", r, v132, arch)
		}
		if out, _, err := run1(t, nil, "--from", to, "--to", to+"2", "--platform", "linux/"+arch, "--k0s-version", v132); err != nil {
			t.Errorf("as a file: %v, %s", err, out)
		}
	}
}

// TestVersions covers several versions in either order, and a tag that is not one.
func TestVersions(t *testing.T) {
	old, recent := k0sAt(v132, image1(t, v132)), k0sAt(v133, image1(t, v133))
	latest := entry{"k0sproject/k0s_latest.tar", image1(t, "v1.99.0+k0s.0")}
	for _, form := range forms {
		for name, entries := range map[string][]entry{"old first": {old, latest, recent}, "new first": {latest, recent, old}} {
			path := writeBundle(t, form, entries...)
			for _, tt := range []struct {
				args      string
				want      string // version
				wantError string
			}{
				{"", v133, ""},
				{"--k0s-version=v1.32.8-k0s.0", v132, ""},
				{"--k0s-version=1.33.1+k0s.10", v133, ""},
				{"--k0s-version=v1.33.1+k0s.1", "", "does not contain k0s v1.33.1+k0s.1, only v1.33.1+k0s.10, v1.32.8+k0s.0"},
			} {
				to := filepath.Join(t.TempDir(), "k0s")
				out, errs, err := run1(t, nil, append(strings.Fields(tt.args), "--to", to, path)...)
				if tt.wantError != "" {
					if err == nil || !strings.Contains(err.Error(), tt.wantError) {
						t.Errorf("%s, %s, %s: %v, want %s", form, name, tt.args, err, tt.wantError)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s, %s, %s: %v", form, name, tt.args, err)
					continue
				}
				checkFile(t, to, k0sFor(tt.want))
				if r := records(t, out); len(r) != 1 || r[0].Version != tt.want {
					t.Errorf("%s, %s, %s: %+v, want %s", form, name, tt.args, r, tt.want)
				}
				if !strings.Contains(errs, "tag latest is not a k0s version") && tt.args == "" {
					t.Errorf("%s, %s: stderr %q, want a warning about latest", form, name, errs)
				}
				if got := names(t, filepath.Dir(to)); got != "k0s" {
					t.Errorf("%s, %s, %s: left behind: %s", form, name, tt.args, got)
				}
			}
		}
	}
}

// TestNewestCounts checks that an unusable older version is ignored, and that an
// older version does not replace an unusable newer one.
func TestNewestCounts(t *testing.T) {
	arm := func(version string) entry {
		return k0sAt(version, blobsOf(platformImage{"arm64", [][]byte{k0sLayer(t, standin.Program("arm64", version))}}).archive(t))
	}
	for _, form := range forms {
		for name, tt := range map[string]struct {
			entries []entry
			want    string // error
		}{
			"the older is for others": {[]entry{arm(v132), k0sAt(v133, image1(t, v133))}, ""},
			"the newer is for others": {[]entry{k0sAt(v132, image1(t, v132)), arm(v133)}, "k0s_v1.33.1-k0s.10.tar: contains linux/arm64, not linux/amd64"},
			"the newer comes first":   {[]entry{arm(v133), k0sAt(v132, image1(t, v132))}, "k0s_v1.33.1-k0s.10.tar: contains linux/arm64, not linux/amd64"},
		} {
			to := filepath.Join(t.TempDir(), "k0s")
			out, _, err := run1(t, nil, "--to", to, writeBundle(t, form, tt.entries...))
			r := records(t, out)
			if tt.want == "" && err == nil && r[0].Version == v133 && names(t, filepath.Dir(to)) == "k0s" {
				continue
			}
			if tt.want == "" || err == nil || !strings.Contains(err.Error(), tt.want) || r[0].Status != record.StatusFailed || names(t, filepath.Dir(to)) != "" {
				t.Errorf("%s, %s: %v, %+v, left %q, want %q", form, name, err, r, names(t, filepath.Dir(to)), tt.want)
			}
		}
	}
}

// TestName fills the directory from which child clusters download k0s.
func TestName(t *testing.T) {
	both := blobsOf(platformImage{"amd64", [][]byte{k0sLayer(t, k0sFor(v132))}},
		platformImage{"arm64", [][]byte{k0sLayer(t, standin.Program("arm64", v132))}})
	for _, form := range forms {
		path := writeBundle(t, form, k0sAt(v132, both.archive(t)), k0sAt(v133, image1(t, v133)))
		dir := filepath.Join(t.TempDir(), "k0s")
		out, errs, err := run1(t, nil, "--name", "--to", dir, "--platform", "linux/amd64,linux/arm64", path)
		if err == nil || err.Error() != "1 of 4 failed" || !strings.Contains(errs, "entry k0sproject/k0s_v1.33.1-k0s.10.tar: contains linux/amd64, not linux/arm64") {
			t.Errorf("%s: %v, stderr %q, want one of four reported missing", form, err, errs)
		}
		got := map[string]string{}
		for _, r := range records(t, out) {
			got[filepath.Base(r.Path)] = r.Status
		}
		want := map[string]string{"k0s-v1.32.8+k0s.0-amd64": "written", "k0s-v1.32.8+k0s.0-arm64": "written",
			"k0s-v1.33.1+k0s.10-amd64": "written", "k0s-v1.33.1+k0s.10-arm64": "failed"}
		for name, status := range want {
			if got[name] != status {
				t.Errorf("%s: %s is %q, want %s", form, name, got[name], status)
			}
		}
		checkFile(t, filepath.Join(dir, "k0s-v1.32.8+k0s.0-arm64"), standin.Program("arm64", v132))
		if got, want := names(t, dir), "k0s-v1.32.8+k0s.0-amd64 k0s-v1.32.8+k0s.0-arm64 k0s-v1.33.1+k0s.10-amd64"; got != want {
			t.Errorf("%s: directory %s, want %s", form, got, want)
		}
		// A file that is already served is not replaced.
		writeFile(t, filepath.Join(dir, "k0s-v1.33.1+k0s.10-amd64"), []byte("other"), 0o755)
		if _, _, err := run1(t, nil, "--name", "--to", dir, "--k0s-version", v133, path); err == nil || !strings.Contains(err.Error(), "different content") {
			t.Errorf("%s: %v, want that the other file stays", form, err)
		}
		if _, _, err := run1(t, nil, "--name", "--to", dir, "--k0s-version", v133, "--replace", path); err != nil {
			t.Errorf("%s: --replace: %v", form, err)
		}
		checkFile(t, filepath.Join(dir, "k0s-v1.33.1+k0s.10-amd64"), k0sFor(v133))
	}
}

func TestMisuse(t *testing.T) {
	for args, want := range map[string]string{
		"--from x bundle": "--from and a bundle are mutually exclusive",
		"--name bundle":   "--name requires --to DIR",
		"--platform linux/amd64,linux/arm64 bundle":   "several platforms require --name",
		"--platform linux/s390x bundle":               `invalid --platform "linux/s390x": must be linux/amd64, linux/arm64, linux/arm or linux/riscv64`,
		"--platform linux/arm,linux/arm bundle":       "duplicate platform linux/arm",
		"--k0s-version latest bundle":                 "must be a version such as",
		"--export x --role worker bundle":             "--export was removed",
		"--mirror https://m --export=x.tar.gz bundle": "--export was removed",
		"--from localhost:5000/K0S:v1":                "must be lower case",
		"--from localhost:5000/k0s:v1@sha256:ab":      "hex",
	} {
		_, _, err := run1(t, nil, strings.Fields(args)...)
		if !cli.IsMisuse(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want misuse with %q", args, err, want)
		}
	}
}

// TestMistakes checks the hints for the most likely mistakes.
func TestMistakes(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	path := writeBundle(t, "tar.gz", k0sAt(v132, image1(t, v132)))
	writeFile(t, "k0s-arm", standin.Program("arm64", v132), 0o755)
	writeFile(t, "k0s-good", k0sFor(v132), 0o755)
	writeFile(t, "k0s-cut", k0sFor(v132)[:500], 0o755)
	writeFile(t, "my.tgz", nil, 0o644)
	for _, tt := range []struct{ args, want, hint string }{
		{"--from " + path, "not a program for linux", "name a bundle without --from: k0s-extract BUNDLE"},
		{"--from k0s-arm", "wrong architecture", "use --platform OS/ARCH if it is for another machine"},
		{"--from k0s-cut", "no payload", "copy it again, and compare it with the vendor's: sha256sum FILE"},
		{"k0s-good", "not a bundle: a program", "to install k0s from a file, use --from "},
		{"--from http://10.0.0.5:5000/k0sproject/k0s", `invalid --from "http://10.0.0.5:5000/k0sproject/k0s": must not have a scheme`, "omit http://; --plain-http allows HTTP"},
		{"--from oci://10.0.0.5:5000/k0sproject/k0s:v1", "must not have a scheme", "omit oci://; --plain-http allows HTTP"},
		{"--from my.tgz -", `--from and a bundle are mutually exclusive: unexpected argument "-"`, "- reads records from stdin if --from is "},
		{"--name --to k0s-good " + path, "not a directory", "name a file in a directory or, with --name, a directory"},
	} {
		args := append([]string{"--to", "k0s"}, strings.Fields(tt.args)...)
		_, _, err := run1(t, nil, args...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(cli.HintOf(err), tt.hint) {
			t.Errorf("%s: %v, hint %q, want %q with %q", tt.args, err, cli.HintOf(err), tt.want, tt.hint)
		}
	}
}

// TestRemovedFlag checks that every form of --export names its replacement, and
// that a file of that name is an ordinary argument.
func TestRemovedFlag(t *testing.T) {
	file := t.TempDir() + "/config"
	writeFile(t, file, []byte("quiet\nexport a.tar.gz\n"), 0o600)
	for _, tt := range []struct {
		args     []string
		variable string
		want     string
	}{
		{[]string{"--export", "a.tar.gz"}, "", "--export was removed"},
		{[]string{"--quiet"}, "a.tar.gz", "K0S_EXTRACT_EXPORT was removed"},
		{[]string{"--config", file}, "", file + ": line 2: export was removed"},
	} {
		t.Setenv("K0S_EXTRACT_EXPORT", tt.variable)
		_, _, err := run1(t, nil, tt.args...)
		if !cli.IsMisuse(err) || err.Error() != tt.want || !strings.HasPrefix(cli.HintOf(err), "use install.sh --export-worker") {
			t.Errorf("%q: %v, hint %q, want misuse: %s", tt.args, err, cli.HintOf(err), tt.want)
		}
	}
	for _, args := range [][]string{{"export"}, {"--to", "export", "x"}} {
		if _, _, err := run1(t, nil, args...); cli.IsMisuse(err) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
