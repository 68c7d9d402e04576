package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// A dropInCase is what may stand in k0s's directory of drop-ins. OLD and NEW
// stand for the heads of the two tables, CERTS for the directory of mirrors.
type dropInCase struct {
	name  string
	files map[string]string // below the directory
	// want has the config_path that each of releases is left with, or refused if
	// it does not start. The last is that of every containerd 2.
	want [3]string
}

const refused = "refused"

func dropIn(text string) map[string]string { return map[string]string{"a.toml": text} }

// laterKey is a drop-in after the one that matters, with another key of the plugin.
var laterKey = map[string]string{
	"a.toml": "version = 2\nOLD\nconfig_path = \"CERTS\"\n",
	"b.toml": "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"registry.k8s.io/pause:3.9\"\n",
}

var dropInCases = []dropInCase{
	{"no drop-in", nil, [3]string{"", "", ""}},
	{"old", dropIn("version = 2\nOLD\nconfig_path = \"CERTS\"\n"), [3]string{"CERTS", "CERTS", "CERTS"}},
	{"old, no version", dropIn("OLD\nconfig_path = \"CERTS\"\n"), [3]string{"CERTS", "CERTS", "CERTS"}},
	{"old, version 3", dropIn("version = 3\nOLD\nconfig_path = \"CERTS\"\n"), [3]string{"CERTS", refused, "CERTS"}},
	{"new", dropIn("version = 3\nNEW\nconfig_path = \"CERTS\"\n"), [3]string{"", refused, "CERTS"}},
	{"new, no version", dropIn("NEW\nconfig_path = \"CERTS\"\n"), [3]string{"", "", "CERTS"}},
	{"new, version 2", dropIn("version = 2\nNEW\nconfig_path = \"CERTS\"\n"), [3]string{"", "", "CERTS"}},
	{"both", dropIn("version = 2\nOLD\nconfig_path = \"CERTS\"\nNEW\nconfig_path = \"/new\"\n"), [3]string{"CERTS", "CERTS", "CERTS"}},
	{"one of each", map[string]string{"a.toml": "version = 2\nOLD\nconfig_path = \"CERTS\"\n", "b.toml": "version = 3\nNEW\nconfig_path = \"/new\"\n"},
		[3]string{"CERTS", refused, "/new"}},
	{"two files", map[string]string{"a.toml": "OLD\nconfig_path = \"/a\"\n", "b.toml": "OLD\nconfig_path = \"CERTS\"\n"},
		[3]string{"CERTS", "CERTS", "CERTS"}},
	{"a later file with another key", laterKey, [3]string{"", "", "CERTS"}},
	{"an earlier file with another key", map[string]string{
		"a.toml": "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"registry.k8s.io/pause:3.9\"\n",
		"b.toml": "version = 2\nOLD\nconfig_path = \"CERTS\"\n"},
		[3]string{"CERTS", "CERTS", "CERTS"}},
	{"two directories", dropIn("version = 2\nOLD\nconfig_path = \"CERTS:/etc/containerd/certs.d\"\n"),
		[3]string{"CERTS:/etc/containerd/certs.d", "CERTS:/etc/containerd/certs.d", "CERTS:/etc/containerd/certs.d"}},
	{"a directory and a colon", dropIn("version = 2\nOLD\nconfig_path = \"CERTS:\"\n"), [3]string{"CERTS:", "CERTS:", "CERTS:"}},
	{"syntax error", dropIn("OLD\nconfig_path = \n"), [3]string{refused, refused, refused}},
}

// heads returns the headers of the tables.
var heads = strings.NewReplacer("OLD", `[plugins."io.containerd.grpc.v1.cri".registry]`,
	"NEW", `[plugins."io.containerd.cri.v1.images".registry]`, "CERTS", certs)

// replaceDropIns replaces a worker's drop-ins.
func (w *worker) replaceDropIns(t *testing.T, files map[string]string) {
	t.Helper()
	dir := filepath.Join(w.root, dropins)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for name, text := range files {
		all[name] = heads.Replace(text)
	}
	writeFiles(t, dir, all)
}

// configPath returns containerd's effective directory of mirrors, as it reports it, or
// refused if it does not start.
func (w *worker) configPath(t *testing.T) string {
	t.Helper()
	text, err := w.dump()
	if err != nil {
		return refused
	}
	var c struct {
		Plugins map[string]struct{ Registry map[string]any }
	}
	if err := toml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatalf("config dump: %v\n%s", err, text)
	}
	plugin := "io.containerd.grpc.v1.cri"
	if w.two {
		plugin = "io.containerd.cri.v1.images"
	}
	path, ok := c.Plugins[plugin].Registry["config_path"]
	if !ok {
		t.Fatalf("config dump has no config_path for %s:\n%s", plugin, text)
	}
	return fmt.Sprint(path)
}

// seesDropIns proves that the check of drop-ins can fail: containerd's result for each is
// known, and outward must have predicted every loss of the mirrors.
func (w *worker) seesDropIns(t *testing.T, column int) {
	w.wipe(t)
	writeFiles(t, w.root+certs, map[string]string{"_default/hosts.toml": strings.ReplaceAll(good, "PLAIN", w.site.plain.url(siteIPv4))})
	for _, c := range dropInCases {
		w.replaceDropIns(t, c.files)
		want := heads.Replace(c.want[column])
		if got := w.configPath(t); got != want {
			t.Errorf("%s: config_path is %q, want %q", c.name, got, want)
		}
		found := outward(w.root, w.two, w.site.plain.at(siteIPv4))
		if want != certs && len(found) == 0 {
			t.Errorf("%s: nothing is found wrong with it", c.name)
		}
		if c.name == map[bool]string{false: "old", true: "new"}[w.two] && len(found) > 0 {
			t.Errorf("%s: found wrong with it: %q", c.name, found)
		}
	}
}

// readsNewestMain: a drop-in that a k0s of today accepts works next to the newest main
// file that containerd reads, which a later k0s may write.
func (w *worker) readsNewestMain(t *testing.T) {
	w.configure(t, setup{mirrors: []string{w.site.plain.url(siteIPv4)}})
	path := filepath.Join(w.root, mainFile)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer writeFiles(t, w.root, map[string]string{mainFile: string(before)})
	writeFiles(t, w.root, map[string]string{mainFile: fmt.Sprintf(mainText, w.main)})
	if got := w.configPath(t); got != certs {
		t.Errorf("with a main file of version %d config_path is %q, want %q", w.main, got, certs)
	}
}

// lostMirrors are drop-ins with which a release starts well, and then pulls from
// public registries.
var lostMirrors = []struct {
	name  string
	files map[string]string
	in    string // the releases, as in fault
}{
	{"a later file with another key", laterKey, "1"},
	{"two directories", dropIn("version = 3\nNEW\nconfig_path = \"CERTS:/etc/containerd/certs.d\"\n"), "2"},
	{"a directory that is not there", dropIn("TABLE\nconfig_path = \"/etc/k0s/none.d\"\n"), "all"},
}

// seesLostMirrors proves that a drop-in which sends pulls outside is detected.
func (w *worker) seesLostMirrors(t *testing.T) {
	table := map[bool]string{false: "OLD", true: "NEW"}[w.two]
	for _, c := range lostMirrors {
		if f := (fault{in: c.in}); !f.public(w.release) {
			continue
		}
		files := map[string]string{}
		for name, text := range c.files {
			files[name] = strings.ReplaceAll(text, "TABLE", table)
		}
		w.replaceDropIns(t, files)
		if len(outward(w.root, w.two, w.site.plain.at(siteIPv4))) == 0 {
			t.Errorf("%s: nothing is found wrong with it", c.name)
		}
		w.stop(t)
		w.start(t)
		err := w.pull(t, hit.reference)
		if _, asked := w.left(t); err == nil || !slices.Contains(asked, "HEAD quay.io/v2/"+hit.repository+"/manifests/"+hit.tag) {
			t.Errorf("%s: asked outside %q (%v), want a request for %s", c.name, asked, err, hit.repository)
		}
	}
}
