package main

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/clitest"
)

// parse reads a configuration file and checks the settings.
func parse(t *testing.T, text string, mode os.FileMode, args ...string) (*settings, error) {
	t.Helper()
	c := &settings{}
	if err := clitest.ParseFile(t, c.flags(), cli.File{Parse: c.parseFile}, text, mode, args...); err != nil {
		return c, err
	}
	return c, c.check()
}

const wholeConfig = `
k0s:
  binary: /opt/k0s
  version: 1.32.8+k0s.0
  images: registry
  api: {address: 10.0.0.10, port: 6444, sans: [a.example.org, b.example.org]}
  network: {provider: calico, podCIDR: 10.1.0.0/16, serviceCIDR: 10.2.0.0/16}
  storage: {type: etcd, etcd: {peerAddress: 10.0.0.11}}
k0rdent:
  version: 1.2.3
  helm:
    chart: oci://registry.mirantis.com/k0rdent-enterprise/charts/k0rdent-enterprise
    namespace: kcm-system
    values: {controller: {replicas: 2, logs: "yes"}}
  credentials:
    aws: [{name: a, region: r, accessKeyID: id, secretAccessKey: k}]
    azure: [{name: z, subscriptionID: s, clientID: c, clientSecret: x, tenantID: t}]
    openstack: [{name: o, authURL: https://o, username: u, password: p, projectName: q}]
    gcp: [{name: g, serviceAccountKey: '{"type": "service_account", "client_email": "e", "private_key": "k"}'}]
    vsphere: [{name: v, username: u, password: p, datacenter: d}]
    metal3: [{name: m, machines: [{name: n, username: u, password: p}]}]
airgap:
  bundlePath: /media/b.tgz
  k0sURL: https://10.0.0.5:5000/k0s
  registry: {address: 10.0.0.5:5000/p, insecure: false, ca: /ca.pem, username: u, passwordFile: /pw}
debug: true
logLevel: info
timeout: 1h
values: []
pod-cidr: 10.3.0.0/16
`

func TestConfigFile(t *testing.T) {
	c, err := parse(t, wholeConfig, 0o600, "--release", "1.2.4")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.release, chartRepository(c.chart), c.At, c.CA, c.PlainHTTP, c.Username, c.PasswordFile, c.k0sURL, c.Verbose, c.timeout)
	want := "1.2.4charts/k0rdent-enterprise10.0.0.5:5000/p/ca.pemfalseu/pwhttps://10.0.0.5:5000/k0strue1h0m0s"
	if strings.Join(strings.Fields(got), "") != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if want := (map[string]any{"controller": map[string]any{"replicas": float64(2), "logs": "yes"}}); !reflect.DeepEqual(c.file.values, want) {
		t.Errorf("values %v, want %v", c.file.values, want)
	}
	if cr := c.file.credentials; len(cr.AWS) != 1 || cr.Azure[0].ClientSecret.Text() != "x" || cr.OpenStack[0].Password.Text() != "p" || len(cr.logins()) != 6 {
		t.Errorf("credentials were not read")
	}
	if s := fmt.Sprintf("%v %+v %#v", c.file, c.file, c.file); regexp.MustCompile(`(SecretAccessKey|Password|ClientSecret):"?[kpx]\b`).MatchString(s) || strings.Contains(s, "{a r id k") {
		t.Errorf("secrets are printed: %s", s)
	}
}

func TestConfigFileErrors(t *testing.T) {
	tests := []struct {
		name, text string
		mode       os.FileMode
		want       []string
	}{
		{"unknown keys", "k0rdent:\n  hlem: {}\nk0rdnet: {}\n", 0o600, []string{"line 2: unknown key hlem (did you mean helm?)"}},
		{"unknown section", "k0rdnet: {}\n", 0o600, []string{"line 1: unknown key k0rdnet (did you mean k0rdent?)"}},
		{"unknown key of a credential", "k0rdent: {credentials: {aws: [{name: a, secretKey: verysecret}]}}", 0o600, []string{"unknown key secretKey"}},
		{"wrong types", "k0rdent: {credentials: {aws: {}}}\ndebug: verysecret\n", 0o600, []string{"line 1: must be a list", "line 2: must be true or false"}},
		{"twice", "debug: true\ndebug: true\n", 0o600, []string{`line 2: mapping key "debug" already defined at line 1`}},
		{"not a duration", "timeout: soon", 0o600, []string{`invalid timeout "soon": must be a duration such as 30s or 5m`}},
		{"incomplete credentials", "k0rdent: {credentials: {aws: [{name: A_b}], openstack: [{name: o, authURL: u}]}}", 0o600, []string{
			"aws[0].accessKeyID is missing", "aws[0].secretAccessKey is missing", `aws[0].name "A_b": must be at most 42 lower-case letters`, "openstack[0]: requires applicationCredentialID",
		}},
		{"incomplete credentials of machines", "k0rdent: {credentials: {gcp: [{name: g, serviceAccountKey: verysecret}], vsphere: [{name: v, username: u}], metal3: [{name: m}, {name: n, machines: [{name: x}, {name: x, username: u, password: verysecret}]}]}}", 0o600, []string{
			"gcp[0].serviceAccountKey: must be the JSON text of a service account's key file", "vsphere[0].password is missing", "vsphere[0].datacenter is missing", "metal3[0].machines is missing",
			"metal3[1].machines[0].username is missing", "metal3[1].machines[1].name: already used by metal3[1].machines[0]",
		}},
		{"two of a name", "k0rdent: {credentials: {azure: [" + azure("x") + ", " + azure("x") + "]}}", 0o600, []string{"azure[1].name: already used by azure[0]"}},
		{"another namespace", "k0rdent: {helm: {namespace: default}}", 0o600, []string{"must be kcm-system, where the platform expects its objects"}},
		{"readable by all, with a secret", "k0rdent: {credentials: {azure: [" + azure("x") + "]}}", 0o644, []string{"contains secrets and is readable by others (mode 0644)"}},
		{"no YAML", "k0s: [", 0o600, []string{".yaml: yaml: "}},
		{"a list", "- k0s\n", 0o600, []string{".yaml: line 1: must be keys and values"}},
		{"an alias of itself", "k0rdent: {helm: {values: &a {x: *a}}}", 0o600, []string{"must not contain itself"}},
		{"two documents", "debug: true\n---\ndebug: false\n", 0o600, []string{"more than one document"}},
		{"not a log level", "logLevel: loud", 0o600, []string{`logLevel "loud"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.text, tt.mode)
			if err == nil || cli.Code(err) != cli.CodeMisuse {
				t.Fatalf("error %v with code %d, want misuse", err, cli.Code(err))
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q, want %q in it", err, w)
				}
			}
			if strings.Contains(err.Error(), "verysecret") {
				t.Errorf("the error has the secret in it: %v", err)
			}
		})
	}
}

func azure(name string) string {
	return "{name: " + name + ", subscriptionID: s, clientID: c, clientSecret: x, tenantID: t}"
}

func TestConfigValuesMayHaveAliases(t *testing.T) {
	c, err := parse(t, "k0s: {api: {sans: &names [a, b]}}\nk0rdent: {helm: {values: {x: *names}}}", 0o600)
	if want := (map[string]any{"x": []any{"a", "b"}}); err != nil || !reflect.DeepEqual(c.file.values, want) {
		t.Errorf("values %v, %v, want %v", c.file.values, err, want)
	}
}

// TestConfigInit reads the output of --config-init, as it is and with every example
// uncommented.
func TestConfigInit(t *testing.T) {
	var out bytes.Buffer
	if err := runOn(t.Context(), hostBelow(t.TempDir()), []string{"--config-init"}, strings.NewReader(""), &out, &out); cli.Code(err) != cli.CodeDone {
		t.Fatal(err)
	}
	if c, err := parse(t, out.String(), 0o644); err != nil || c.upgrade || c.uninstall || c.printValues {
		t.Errorf("as it is: %+v, %v", c, err)
	}
	text := regexp.MustCompile(`(?m)^( *)# ((?: *- )?[ ]*[a-zA-Z0-9]+:)`).ReplaceAllString(out.String(), "$1$2")
	// One of the examples makes this host a worker.
	c, err := parse(t, text, 0o600, "--kubeconfig", "/k")
	if err != nil {
		t.Fatalf("with its examples: %v\n%s", err, text)
	}
	if c.At != "10.0.0.5:5000" || c.release != "1.2.3" || len(c.file.credentials.logins()) != 6 {
		t.Errorf("registry %q, release %q, credentials %v: the examples were not read", c.At, c.release, c.file.credentials.logins())
	}
}

func TestConfigCheck(t *testing.T) {
	h := testHost(t)
	clitest.Write(t, h.config, "k0rdent: {version: 1.2.3}\n")
	r := try(t, h, "", "--config-check")
	if s := r.Step("config"); r.Err != nil || s.Detail != h.config+" is valid" {
		t.Errorf("%v, %+v, want it fine", r.Err, s)
	}
	clitest.Write(t, h.config, "k0rdent: {versoin: 1.2.3}\n")
	if r := try(t, h, "", "--config-check"); cli.Code(r.Err) != cli.CodeMisuse || !strings.Contains(r.Err.Error(), "unknown key versoin (did you mean version?)") {
		t.Errorf("%v, want the key to be refused", r.Err)
	}
}

// FuzzConfigFile checks that reading any file ends, and that an error never repeats
// a value, which may be a secret.
func FuzzConfigFile(f *testing.F) {
	f.Add(wholeConfig)
	f.Add("a: &a [*a]")
	f.Add("join: {token: hunter2hunter2}\nk0s: {api: {port: hunter2hunter2}}")
	f.Add("k0s: &k {api: {sans: [hunter2hunter2]}}\nk0rdent: *k")
	f.Fuzz(func(t *testing.T, text string) {
		c, start := &settings{}, time.Now()
		err := c.parseFile(strings.NewReader(text), func(_, _, _ string) error { return nil })
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%d bytes took %v", len(text), took)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2hunter2") && !strings.Contains(err.Error(), "unknown key") && !strings.Contains(err.Error(), "already defined") && !strings.Contains(err.Error(), "yaml: ") {
			t.Errorf("the error repeats what may be a secret: %v", err)
		}
	})
}
