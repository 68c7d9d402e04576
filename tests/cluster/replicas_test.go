package cluster

import (
	"net"
	"testing"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/replicas"
	"k0rdent-airgap/tests/samplebundle"
)

// TestReplicas: the site's registry is a name with two addresses, of registries over one
// object store. The first is killed when the closure has been checked: the installation
// goes on, and so does an upgrade, whose bundle is pushed by that name.
func TestReplicas(t *testing.T) {
	s, ctx := open(t)
	h := newHost(t, s)
	const name = "registry.site.example"
	pair := replicas.Serve(t, replicas.Options{Names: []string{name}})
	hosts, port := "127.0.0.1 localhost\n", ""
	for _, r := range []*replicas.Registry{pair.A, pair.B} {
		var address string
		var err error
		if address, port, err = net.SplitHostPort(r.At); err != nil {
			t.Fatal(err)
		}
		hosts += address + " " + name + "\n"
	}
	h.write(t, "etc/hosts", []byte(hosts))
	site := name + ":" + port + "/k0rdent-enterprise"
	push := func(release string) {
		t.Helper()
		dir := t.TempDir()
		if _, err := samplebundle.WriteDir(dir, samplebundle.Options{Release: release}); err != nil {
			t.Fatal(err)
		}
		if got := h.run(ctx, t, "oci-push", append(pair.Login(), "--to", site, "--quiet", dir)...); got.code != 0 {
			t.Fatalf("oci-push: %d\n%s", got.code, got.stderr)
		}
	}
	push("1.2.3")
	// The test itself does not know the name.
	s.sampled(ctx, t, &store{address: pair.B.At + "/k0rdent-enterprise", ca: pair.CA, username: replicas.Username, passwordFile: pair.PasswordFile})
	r := &store{address: site, ca: pair.CA}
	args := r.args("--kubeconfig", s.plane.Kubeconfig, "--username", replicas.Username, "--password-file", pair.PasswordFile)

	got := h.follow(ctx, t, func(step record.Step) {
		if step.Name == "preflight" {
			pair.A.Kill()
		}
	}, "k0rdent-install", args...)
	if got.code != 0 || !has(got.steps(t), "preflight unchanged, secrets done, helm done, ready done") {
		t.Fatalf("with the first killed: %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	s.fromRegistry(ctx, t, r)
	push("1.3.0")
	got = h.run(ctx, t, "k0rdent-install", append(args, "--upgrade", "--release", "1.3.0")...)
	if got.code != 0 || !has(got.steps(t), "upgrade done, ready done") {
		t.Fatalf("the upgrade: %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	if got := s.ready(ctx, t); got.Running != "kcm-1-3-0" {
		t.Errorf("%s runs, want kcm-1-3-0", got.Running)
	}
	s.fromRegistry(ctx, t, r)
}
