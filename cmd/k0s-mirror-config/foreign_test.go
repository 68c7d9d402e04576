package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

const (
	grpc1   = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n"
	images2 = "version = 3\n[plugins.\"io.containerd.cri.v1.images\".registry]\n"
)

// TestForeignFiles covers files of others on the host and their effect on ours. A conflict
// ends the run before anything is written and names the file; a warning does not.
func TestForeignFiles(t *testing.T) {
	dropIn := func(name string) string { return k0s.DropInDir + "/" + name }
	host := func(name string) string { return k0s.CertsDir + "/" + name + "/hosts.toml" }
	tests := []struct {
		name, version string
		path, content string
		conflict      string // part of the reason
		warning       string // part of it
	}{
		{"other config_path, later", old, dropIn("zz.toml"), grpc1 + "config_path = '/etc/containerd/certs.d'", "but it must be", ""},
		{"other config_path, earlier", current, dropIn("10.toml"), images2 + "config_path = '/etc/containerd/certs.d'", "but it must be", ""},
		{"list of directories", current, dropIn("zz.toml"), images2 + "config_path = '/etc/k0s/certs.d:/etc/docker/certs.d'", "is the list", ""},
		{"the same config_path", current, dropIn("zz.toml"), images2 + "config_path = '/etc/k0s/certs.d'", "", ""},
		{"mirrors in the old way", old, dropIn("a.toml"), grpc1 + "[plugins.'io.containerd.grpc.v1.cri'.registry.mirrors.'docker.io']\nendpoint = ['https://x']", "registry.mirrors", ""},
		{"TLS in the old way", old, dropIn("a.toml"), "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.'x:5000'.tls]\nca_file = '/x'", "registry.configs with tls", ""},
		{"login in the old way", old, dropIn("registry-auth.toml"), "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.'x:5000'.auth]\nusername = 'u'", "", "this k0s merges them with ours"},
		{"login, for the other containerd", current, dropIn("registry-auth.toml"), "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.'x:5000'.auth]\nusername = 'u'", "version = 2, not 3", ""},
		{"old table without a version", current, dropIn("a.toml"), "[plugins.'io.containerd.grpc.v1.cri'.registry]\nx = 1", "a table of containerd 1", ""},
		{"new one for the old containerd", old, dropIn("a.toml"), "version = 3\n", "does not start with it: it has version = 3", ""},
		{"IPv6 in a key", current, dropIn("a.toml"), "[plugins.'io.containerd.cri.v1.images'.registry.configs.'[::1]:5443'.auth]\nusername = 'u'", "closing bracket", ""},
		{"syntax error", current, dropIn("a.toml"), "version = ", "does not start", ""},
		{"another plugin", current, dropIn("nvidia.toml"), "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd]\ndefault_runtime_name = 'nvidia'", "", ""},
		{"runtime on containerd 1, which k0s merges", old, dropIn("zz.toml"), "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\ndefault_runtime_name = 'nvidia'", "", "this k0s merges them with ours"},
		{"of our name", old, k0s.DropInPath, "version = 2\n", "not written by this program", ""},
		{"not a drop-in", current, dropIn("note.txt"), "version = ", "", ""},

		{"main file of a person", current, k0s.ContainerdConfig, "version = 3\nimports = ['/etc/k0s/containerd.d/*.toml']", "", "no longer managed by k0s"},
		{"main file of k0s", current, k0s.ContainerdConfig, "# k0s_managed=true\n# x\nversion = 3\n", "", ""},
		{"main file of k0s 1.27", old, k0s.ContainerdConfig, "\n# k0s_managed=true\nversion = 2\n", "", ""},
		{"main file of a person with CRI settings", old, k0s.ContainerdConfig, "version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'x'", "reads from only one file", "no longer managed"},
		{"main file of a person with mirrors", current, k0s.ContainerdConfig, images2 + "config_path = '/x'", "but it must be", "no longer managed"},

		{"directory of one of our registries", current, host("quay.io"), "server = 'https://quay.io'\n[host.'https://m']\n", "takes precedence over its file", ""},
		{"_default", current, host("_default"), "[host.'https://m']\n", "takes precedence", ""},
		{"the mirror's own, spelt the other way", current, host("10.0.0.5_5000_"), "server = 'https://10.0.0.5:5000'\n[host]\n", "takes precedence", ""},
		{"directory without a file", current, k0s.CertsDir + "/nvcr.io/ca.crt", "x", "so pulls go to the registry itself", ""},
		{"one of ours without a file", current, k0s.CertsDir + "/quay.io/client.key", "x", "so pulls go to the registry itself", ""},
		{"undecodable", current, host("nvcr.io"), "server = ", "containerd ignores it", ""},
		{"another registry of the site", current, host("other.site:5000"), "server = 'http://other.site:5000'\n[host]\n", "", "images of other.site:5000 do not come from the mirror"},
		{"another registry through the mirror", current, host("nvcr.io"), "server = 'https://10.0.0.5:5000'\n[host]\n", "", ""},
		{"another through the mirror, then outward", current, host("nvcr.io"), "[host.'https://10.0.0.5:5000']\n", "", "containerd contacts its server"},
		{"not a directory", current, k0s.CertsDir + "/README", "x", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := newRoot(t, tt.version)
			writeFile(t, root+tt.path, 0o644, tt.content)
			before := snapshot(t, root+"/etc")
			args := []string{"--mirror", "https://10.0.0.5:5000"}
			o := start(t, root, "", args...)
			if tt.warning != "" && !strings.Contains(o.stderr, tt.warning) || tt.warning == "" && tt.conflict == "" && o.stderr != "" {
				t.Errorf("stderr %q, want %q", o.stderr, tt.warning)
			}
			if text, err := os.ReadFile(root + tt.path); err != nil || string(text) != tt.content {
				t.Errorf("another program's file is %q, %v, want it unchanged", text, err)
			}
			if tt.conflict == "" {
				if o.err != nil {
					t.Errorf("error %v, want none\n%s", o.err, o.stderr)
				}
				return
			}
			if o.code() != cli.CodeFailed || o.sum.Counts[record.StatusWritten] > 0 {
				t.Errorf("code %d, %s, want 1 and nothing written", o.code(), o.counts())
			}
			named := false
			for path, f := range o.files {
				named = named || strings.HasPrefix(tt.path, path) && strings.Contains(f.Error, tt.conflict) && f.Status == record.StatusFailed && strings.Contains(o.stderr, path)
			}
			if !named {
				t.Errorf("%+v\n%s\nwant a failed record of %s with %q", o.files, o.stderr, tt.path, tt.conflict)
			}
			untouched(t, root+"/etc", before)
		})
	}
}

func TestForeignDirectories(t *testing.T) {
	root := newRoot(t, current)
	for _, dir := range []string{"quay.io", "nvcr.io"} {
		if err := os.MkdirAll(filepath.Join(root, k0s.CertsDir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o := start(t, root, "", "--mirror", "https://10.0.0.5:5000")
	if len(o.files) != 1 || !strings.Contains(o.files[k0s.CertsDir+"/nvcr.io"].Error, "so pulls go to the registry itself") {
		t.Errorf("%+v, want the empty directory that is none of ours", o.files)
	}
	if err := os.Remove(root + k0s.CertsDir + "/nvcr.io"); err != nil {
		t.Fatal(err)
	}
	ok(t, root, "", "--mirror", "https://10.0.0.5:5000") // the other one is filled
	checkTree(t, root)

	link := root + k0s.CertsDir + "/ghcr.io"
	if err := os.RemoveAll(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("_default", link); err != nil {
		t.Fatal(err)
	}
	o = start(t, root, "", "--mirror", "https://10.0.0.6:5000")
	if !strings.Contains(o.files[k0s.CertsDir+"/ghcr.io"].Error, "a symbolic link") {
		t.Errorf("%+v, want the link to be reported", o.files)
	}
}

// TestOlderFilesOfOurs: files that an earlier version wrote under other names are removed,
// after their replacements exist.
func TestOlderFilesOfOurs(t *testing.T) {
	root := newRoot(t, current)
	older := k0s.DropInDir + "/registry.toml"
	writeFile(t, root+older, 0o644, k0s.Marker+"\n"+grpc1+"config_path = '/etc/k0s/containerd.d/certs.d'")
	writeFile(t, root+k0s.CertsDir+"/nvcr.io/hosts.toml", 0o644, k0s.Marker+"\nserver = 'https://gone'\n[host]\n")
	o := ok(t, root, "", "--mirror", "https://10.0.0.5:5000")
	for _, path := range []string{older, k0s.CertsDir + "/nvcr.io/hosts.toml"} {
		if f := o.files[path]; f.Status != record.StatusRemoved {
			t.Errorf("%s: %+v, want it removed", path, f)
		}
		if _, err := os.Stat(root + path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	if strings.Index(o.out, older) < strings.Index(o.out, k0s.DropInPath) {
		t.Errorf("the older drop-in went before the new one came:\n%s", o.out)
	}
}

// TestForeignFileInOurDirectory: a file of others is kept, and so is its directory: without
// the hosts.toml, pulls would go to the public registry.
func TestForeignFileInOurDirectory(t *testing.T) {
	root := newRoot(t, current)
	images := filepath.Join(t.TempDir(), "images")
	writeFile(t, images, 0o644, "nvcr.io/x/y:1\n")
	ok(t, root, "", "--mirror", "https://10.0.0.5:5000", "--images", images)
	note := k0s.CertsDir + "/nvcr.io/note"
	writeFile(t, root+note, 0o644, "mine")
	o := start(t, root, "", "--mirror", "https://10.0.0.5:5000")
	if o.code() != cli.CodeFailed || !strings.Contains(o.files[note].Error, "a directory that must be removed") {
		t.Errorf("code %d, %+v, want the note to be named", o.code(), o.files)
	}
	checkTree(t, root)
}

// FuzzReadSettings: no content makes the parser panic, and a file that is not TOML is never
// considered harmless.
func FuzzReadSettings(f *testing.F) {
	for _, s := range []string{grpc1, images2, "plugins = 1", "[plugins]\nx = 1", "[[plugins]]", "version = '3'", "[plugins.'io.containerd.grpc.v1.cri'.registry.configs]\nx = 1"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, two bool) {
		v := k0s.Version{Major: 1, Minor: 35}
		if two {
			v.Minor = 36
		}
		s, reason := readSettings([]byte(text), v)
		if reason != "" && s != (settings{}) {
			t.Errorf("%q is refused (%s) and read: %+v", text, reason, s)
		}
		if reason == "" && strings.Contains(s.configPath, ":") {
			t.Errorf("%q passes", text)
		}
	})
}
