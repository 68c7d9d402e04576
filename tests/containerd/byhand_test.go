package containerd

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A mirror is one registry of the site in a worker's configuration.
type mirror struct {
	server *server
	host   string // how it is reached
	path   string // the prefix there, "" for none
	login  string // user and password, "" for none
	ca     string // file, if not the server's own
}

// configure makes the site's mirrors those of the worker, tried in order.
func (w *worker) configure(t *testing.T, mirrors ...mirror) {
	t.Helper()
	w.wipe(t)
	for _, host := range []string{"_default", "quay.io", "docker.io", "registry.k8s.io", "registry.mirantis.com"} {
		w.write(t, host, mirrors...)
	}
}

func (w *worker) wipe(t *testing.T) {
	t.Helper()
	dir := filepath.Join(w.root, certs)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func (w *worker) write(t *testing.T, host string, mirrors ...mirror) {
	t.Helper()
	var top, tables strings.Builder
	files := map[string]string{}
	for i, m := range mirrors {
		last := i == len(mirrors)-1
		out := &tables
		url := m.server.url(m.host)
		if m.path != "" {
			url += "/v2/" + m.path
		}
		header := "[header]"
		if last {
			out = &top
			fmt.Fprintf(out, "server = %q\n", url)
		} else {
			fmt.Fprintf(out, "[host.%q]\ncapabilities = [\"pull\", \"resolve\"]\n", url)
			header = fmt.Sprintf("[host.%q.header]", url)
			if w.two {
				fmt.Fprintf(out, "dial_timeout = \"3s\"\n")
			}
		}
		if m.path != "" {
			fmt.Fprintf(out, "override_path = true\n")
		}
		if m.server.ca != "" {
			ca := m.ca
			if ca == "" {
				ca = m.server.ca
			}
			text, err := os.ReadFile(ca)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("ca%d.crt", i)
			files[name] = string(text)
			fmt.Fprintf(out, "ca = [%q]\n", name)
		}
		if m.login != "" {
			fmt.Fprintf(out, "%s\nAuthorization = %q\n", header, "Basic "+base64.StdEncoding.EncodeToString([]byte(m.login)))
		}
	}
	if tables.Len() == 0 {
		tables.WriteString("[host]\n")
	}
	files["hosts.toml"] = top.String() + tables.String()
	writeFiles(t, filepath.Join(w.root, certs, host), files)
}
