package main

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/tests/clitest"

	kyaml "sigs.k8s.io/yaml"
)

// usual returns the settings of a typical site.
func usual() []setting {
	return []setting{
		{"apiVersion", "k0s.k0sproject.io/v1beta1", true},
		{"kind", "ClusterConfig", true},
		{"metadata.name", "k0s", true},
		{"spec.telemetry.enabled", false, false},
		{"spec.api.address", "10.0.0.10", true},
		{"spec.api.sans", []string{"mgmt", "10.0.0.10"}, false},
		{"spec.network.podCIDR", "10.1.0.0/16", false},
		{"spec.images.repository", "10.0.0.5:5000/k0rdent-enterprise", false},
	}
}

func TestMergeK0sYAML(t *testing.T) {
	tests := []struct {
		name, have, want string
		changes          string
	}{
		{"no file", "", `apiVersion: "k0s.k0sproject.io/v1beta1"
kind: "ClusterConfig"
metadata:
  name: "k0s"
spec:
  telemetry:
    enabled: false
  api:
    address: "10.0.0.10"
    sans:
      - "mgmt"
      - "10.0.0.10"
  network:
    podCIDR: "10.1.0.0/16"
  images:
    repository: "10.0.0.5:5000/k0rdent-enterprise"
`, "apiVersion: k0s.k0sproject.io/v1beta1|kind: ClusterConfig|metadata.name: k0s|spec.telemetry.enabled: false|spec.api.address: 10.0.0.10|" +
			"spec.api.sans: mgmt, 10.0.0.10|spec.network.podCIDR: 10.1.0.0/16|spec.images.repository: 10.0.0.5:5000/k0rdent-enterprise"},
		{"an operator's file, with comments and its own order", `# ours since 2024
kind: ClusterConfig
apiVersion: k0s.k0sproject.io/v1beta1
metadata: {name: prod} # not k0s
spec:
  # the balancer's
  api:
    externalAddress: lb.example.org # ask net-ops
    address: 10.9.9.9
    sans: [lb.example.org, mgmt]
  telemetry:
    enabled: true # by default
  network:
    provider: calico
  extensions:
    helm: {}
`, `# ours since 2024
kind: ClusterConfig
apiVersion: k0s.k0sproject.io/v1beta1
metadata: {name: prod} # not k0s
spec:
  # the balancer's
  api:
    externalAddress: lb.example.org # ask net-ops
    address: 10.9.9.9
    sans: [lb.example.org, mgmt, "10.0.0.10"]
  telemetry:
    enabled: false # by default
  network:
    provider: calico
    podCIDR: "10.1.0.0/16"
  extensions:
    helm: {}
  images:
    repository: "10.0.0.5:5000/k0rdent-enterprise"
`, "spec.telemetry.enabled: false (was true)|spec.api.sans: add 10.0.0.10|spec.network.podCIDR: 10.1.0.0/16|spec.images.repository: 10.0.0.5:5000/k0rdent-enterprise"},
		{"empty tables", "apiVersion: v\nkind: ClusterConfig\nmetadata: {name: k0s}\nspec:\n  api: {}\n  images:\n  network: {podCIDR: 10.1.0.0/16}\n", `apiVersion: v
kind: ClusterConfig
metadata: {name: k0s}
spec:
  api:
    address: "10.0.0.10"
    sans:
      - "mgmt"
      - "10.0.0.10"
  images:
    repository: "10.0.0.5:5000/k0rdent-enterprise"
  network: {podCIDR: 10.1.0.0/16}
  telemetry:
    enabled: false
`, "spec.telemetry.enabled: false|spec.api.address: 10.0.0.10|spec.api.sans: mgmt, 10.0.0.10|spec.images.repository: 10.0.0.5:5000/k0rdent-enterprise"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, changes, err := merge([]byte(tt.have), usual())
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("merged\n%s\nwant\n%s", got, tt.want)
			}
			if c := strings.Join(changes, "|"); c != tt.changes {
				t.Errorf("changes %s\nwant    %s", c, tt.changes)
			}
			again, changes, err := merge(got, usual())
			if err != nil || string(again) != string(got) || len(changes) > 0 {
				t.Errorf("merged again: %v, changes %q, want the same bytes:\n%s", err, changes, again)
			}
		})
	}
}

func TestMergeK0sYAMLWithReferences(t *testing.T) {
	have := `spec:
  api: &api {port: 6443}
  storage: {etcd: &etcd {peerAddress: 10.0.0.10}}
  scheduler: {extraArgs: &args {v: "2"}}
  controllerManager: {extraArgs: *args}
  network: *net
`
	for _, tt := range []struct{ name, have, want, wantErr string }{
		{"others refer to what would change", strings.Replace(have, "  network: *net\n", "  network: *api # same\n", 1), `"network":{"podCIDR":"10.1.0.0/16","port":6443}`, ""},
		{"a table that is a reference", "spec:\n  api: {address: 1.2.3.4}\n  scheduler: &empty {}\n  images: *empty\n", `"repository":"10.0.0.5:5000/k0rdent-enterprise"`, ""},
		{"an address that is merged in", "base: &b {address: 1.2.3.4}\nspec:\n  api: {<<: *b, port: 6443}\n", `"address":"1.2.3.4"`, ""},
		{"a table that is merged in", "base: &b {api: {address: 1.2.3.4, sans: [x]}}\nspec: {<<: [{}, *b]}\n", `"api":{"address":"1.2.3.4","sans":["x","mgmt","10.0.0.10"]}`, ""},
		{"an unknown anchor", have, "", "unknown anchor"},
		{"a reference to itself", "spec: &s {api: *s}\n", "", "contains itself"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := merge([]byte(tt.have), usual())
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("error %v, want %q\n%s", err, tt.wantErr, got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if j, err := kyaml.YAMLToJSON(got); err != nil || !strings.Contains(string(j), tt.want) {
				t.Errorf("%s, %v, want %s in it", j, err, tt.want)
			}
		})
	}
}

// TestSettingsKeepTheAddress: a host whose address changes stays the same member of
// etcd.
func TestSettingsKeepTheAddress(t *testing.T) {
	i := testUp(t, testHost(t), &settings{k0sImages: imagesMirror})
	i.node = node{name: "mgmt", address: netip.MustParseAddr("10.0.0.99")}
	clitest.Write(t, i.host.k0sConfig, "spec: {api: {address: 10.9.9.9}}\n")
	if err := i.planYAML(); err != nil {
		t.Fatal(err)
	}
	if i.yaml.API.Address != "10.9.9.9" || strings.Contains(string(i.yaml.merged), "10.0.0.99") {
		t.Errorf("%s, want it without this host's new address", i.yaml.merged)
	}
	i.cfg.api.address = "10.0.0.99"
	if err := i.planYAML(); err != nil || i.yaml.API.Address != "10.0.0.99" {
		t.Errorf("address %s, %v, want that of --api-address", i.yaml.API.Address, err)
	}
}

func TestMergeK0sYAMLRefuses(t *testing.T) {
	for _, tt := range []struct{ have, want string }{
		{"spec: {api: 7}", "spec.api.address: api: must be keys and values"},
		{"spec: {api: {sans: x}}", "spec.api.sans: must be a list"},
		{"a: 1\n---\nb: 2\n", "more than one document"},
		{"- a", "must be keys and values"},
		{"\t", "yaml: "},
	} {
		if got, _, err := merge([]byte(tt.have), usual()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("merge(%q) = %q, %v, want %q", tt.have, got, err, tt.want)
		}
	}
}

// TestFormOfK0sYAML: the k0s on the host decides about the form of its configuration,
// of a new file as well as of an existing one.
func TestFormOfK0sYAML(t *testing.T) {
	const v1, v2 = "k0s.k0sproject.io/v1beta1", "k0s.k0sproject.io/v1beta2"
	for _, tt := range []struct{ name, form, have, want, lacks string }{
		{"a new file today", "", "", `apiVersion: "` + v1 + `"`, v2},
		{"telemetry today", "", "", "telemetry:\n    enabled: false", v2},
		{"a new file later", "v1beta2", "", `apiVersion: "` + v2 + `"`, "telemetry"},
		{"an existing file later", "v1beta2", "apiVersion: " + v1 + " # mine\nspec: {network: {podCIDR: 10.3.0.0/16}}\n", `apiVersion: "` + v2 + `" # mine`, "telemetry"},
		{"a key that only that k0s knows", "v1beta2", "apiVersion: " + v2 + "\nspec: {registries: {}}\n", "registries", "telemetry"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := testUp(t, testHost(t), &settings{k0sImages: imagesMirror})
			t.Setenv("K0S_FORM", tt.form)
			i.node = node{name: "mgmt", address: netip.MustParseAddr("10.0.0.99")}
			if tt.have != "" {
				clitest.Write(t, i.host.k0sConfig, tt.have)
			}
			i.findK0s(t.Context())
			i.Problems.Ignore = []string{"network"} // its address is a made-up one
			i.checkK0sYAML(t.Context())
			_, err := i.Report(&i.Problems)
			if text := string(i.yaml.merged); err != nil || !strings.Contains(text, tt.want) || strings.Contains(text, tt.lacks) {
				t.Errorf("%v\n%s\nwant %q and not %q", err, text, tt.want, tt.lacks)
			}
		})
	}
}

func TestCheckKeys(t *testing.T) {
	for text, want := range map[string]string{
		"spec: {registry: {mirrors: []}}": "line 1: spec.registry: k0s does not know this key",
		"spec: {netwrok: {}}":             "did you mean spec.network?",
		"spec: {network: {}}":             "<nil>", "": "<nil>", "kind: x": "<nil>",
	} {
		if err := checkKeys([]byte(text)); !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("checkKeys(%q) = %v, want %q", text, err, want)
		}
	}
}

// FuzzMergeK0sYAML checks that k0s reads an operator's values as before, except the
// settings, that it reads the settings, and that merging again changes nothing.
func FuzzMergeK0sYAML(f *testing.F) {
	f.Add("")
	f.Add("spec: {api: {address: 1.2.3.4, sans: [a]}, telemetry: {enabled: yes}}")
	f.Add("# c\nspec:\n  network: # n\n    podCIDR: 10.0.0.0/8\n  workerProfiles:\n  - name: x\n    values: {a: |\n      text\n      }}\n")
	f.Add("x: &x [1, 2]\ny: *x\nspec:\n  api: {<<: {port: 1}, sans: *x}\n")
	f.Add("spec:\n  images: {repository: \"a\", default_pull_policy: IfNotPresent}\n  extensions: {helm: {charts: [{values: \"a: 1\\nb: 2\"}]}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		var old map[string]any
		if kyaml.Unmarshal([]byte(text), &old) != nil {
			return // k0s could not read it either
		}
		merged, _, err := merge([]byte(text), usual())
		if err != nil {
			return
		}
		var now map[string]any
		if err := kyaml.Unmarshal(merged, &now); err != nil {
			t.Fatalf("cannot be read: %v\n%s", err, merged)
		}
		all := flat(now, "")
		for path, value := range flat(old, "") {
			ours := slices.ContainsFunc(usual(), func(s setting) bool { return path == "/"+strings.ReplaceAll(s.path, ".", "/") })
			if value != nil && !ours && !reflect.DeepEqual(all[path], value) {
				t.Errorf("%s was %v, is %v\n%s", path, value, all[path], merged)
			}
		}
		if all["/spec/telemetry/enabled"] != false || all["/spec/network/podCIDR"] != "10.1.0.0/16" || all["/spec/api/address"] == nil {
			t.Errorf("the settings are missing:\n%s", merged)
		}
		again, changes, err := merge(merged, usual())
		if err != nil || string(again) != string(merged) {
			t.Errorf("merged again: %v, %q\n%s\nwas\n%s", err, changes, again, merged)
		}
	})
}

// flat returns the values of a tree by path. An empty table has none.
func flat(v any, at string) map[string]any {
	all := make(map[string]any)
	if m, ok := v.(map[string]any); ok {
		for k, below := range m {
			maps.Copy(all, flat(below, at+"/"+strings.ReplaceAll(k, "/", "~1")))
		}
		return all
	}
	all[at] = v
	return all
}
