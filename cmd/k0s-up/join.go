package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
	"k0rdent-airgap/lib/textfile"
)

// joinSteps returns the steps that make this host a node of an existing cluster.
func (u *up) joinSteps() []step.Step {
	steps := []step.Step{{Name: "preflight", Run: u.checkJoin}, {Name: "notes", Run: u.note}}
	if !u.worker {
		steps = append(steps, step.Step{Name: "k0s.yaml", Run: u.configure})
	}
	return append(steps,
		step.Step{Name: "token", Run: u.placeToken},
		step.Step{Name: "k0s-install", Run: u.install},
		step.Step{Name: "k0s-start", Run: u.start},
		step.Step{Name: "k0s-joined", Run: u.waitMember},
		step.Step{Name: "token-removed", Run: u.removeTokens},
		step.Step{Name: "k0s-ready", Run: u.waitNode},
	)
}

func (u *up) checkJoin(ctx context.Context, do bool) (step.Outcome, error) {
	u.checkToken(ctx)
	return u.preflight(ctx, do)
}

// joined reports whether k0s has joined already and needs no token: a worker then
// has its own kubeconfig, a controller its own etcd data (k0sproject/k0s,
// pkg/component/worker and cmd/controller, needToJoin).
func (u *up) joined() bool {
	path := u.k0s.kubeletConfig()
	if u.cfg.join == k0s.RoleController {
		path = u.host.data + "/etcd/member/snap/db"
	}
	_, err := os.Stat(path)
	return err == nil
}

// token returns the token to join with; nil if there is none.
func (u *up) token() ([]byte, error) {
	if u.cfg.tokenFile == "" && u.cfg.file.joinToken.Text() != "" {
		return []byte(u.cfg.file.joinToken.Text()), nil
	}
	text, err := textfile.Read(cmp.Or(u.cfg.tokenFile, u.host.joinToken))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// checkToken checks the token, and that its server answers.
func (u *up) checkToken(ctx context.Context) {
	if u.joined() {
		u.Note("this host has already joined")
		return
	}
	text, err := u.token()
	switch {
	case err != nil:
		u.Fail("token", "", "%v", err)
		return
	case text == nil:
		u.Fail("token", fmt.Sprintf("create one on a controller of the cluster: k0s-up --token %s", u.cfg.join),
			"%s does not exist", cmp.Or(u.cfg.tokenFile, u.host.joinToken))
		return
	}
	t, err := k0s.ParseToken(text)
	if err != nil {
		u.Fail("token", "", "%v", err)
		return
	}
	if err := t.For(u.cfg.join); err != nil {
		u.Fail("token", fmt.Sprintf("create the right one on a controller: k0s-up --token %s", u.cfg.join), "%v", err)
	}
	if want := u.cfg.file.joinServer; want != "" && !sameServer(want, t.Server) {
		u.Fail("token", "", "is for the server %s, but join.server in the configuration file is %s", t.Server, want)
	}
	u.checkServer(ctx, t.Server)
}

// sameServer reports whether two addresses of an API are the same; a host without
// a port matches any port.
func sameServer(want string, have *url.URL) bool {
	if w, err := url.Parse(want); err == nil && w.Host != "" {
		want = w.Host
	}
	return want == have.Host || want == have.Hostname()
}

// checkServer checks that the server answers.
func (u *up) checkServer(ctx context.Context, server *url.URL) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", server.Host)
	if err != nil {
		u.Fail("server", "check that k0s is running there, and that no firewall blocks the port", "%v", err)
		return
	}
	conn.Close()
	u.Note("joins %s", server)
}

// placeToken copies the token to where k0s reads it, for its owner only. The token
// is removed once the host has joined, although k0s's service still names the file.
func (u *up) placeToken(_ context.Context, do bool) (step.Outcome, error) {
	if u.member = u.joined(); u.member {
		return step.Unchanged("this host has already joined"), nil
	}
	if !do {
		return step.Changed(do, "%s, until this host has joined", u.host.joinToken), nil
	}
	text, err := u.token()
	if err != nil {
		return step.Outcome{}, err
	}
	r, err := hostfile.Put(u.host.joinToken, 0o600, []byte(strings.TrimSpace(string(text))+"\n"))
	if err != nil {
		return step.Outcome{}, err
	}
	r.Digest = ""
	return step.Changed(do, "%s", u.host.joinToken), u.Out.Write(r)
}

// waitMember waits until k0s no longer needs the token, which can be long before
// the node is Ready: kubelet has a kubeconfig once it has its own certificate, and
// a controller is a member of etcd before it runs a kubelet.
func (u *up) waitMember(ctx context.Context, do bool) (step.Outcome, error) {
	if !do && u.member {
		return step.Unchanged("this host has already joined"), nil
	}
	if !do {
		return step.Changed(do, "wait until this host has joined as a %s", u.cfg.join), nil
	}
	err := u.await(ctx, "k0s-joined", func(ctx context.Context, _ *cli.Wait) error { return u.open(ctx, u.k0s.kubeletConfig) })
	switch {
	case err != nil:
		return step.Outcome{}, err
	case u.member:
		return step.Unchanged("this host has already joined"), nil
	}
	return step.Changed(do, "this host has joined as a %s", u.cfg.join), nil
}

// tokenFiles returns the files that hold the token.
func (u *up) tokenFiles() []string {
	files := []string{u.host.joinToken}
	if u.cfg.tokenFile != "" {
		files = append(files, u.cfg.tokenFile)
	}
	return files
}

func (u *up) removeTokens(_ context.Context, do bool) (step.Outcome, error) {
	files := strings.Join(u.tokenFiles(), ", ")
	if !do {
		return step.Changed(do, "%s", files), nil
	}
	o := step.Unchanged("%s", files)
	for _, path := range u.tokenFiles() {
		r, err := hostfile.Remove(path)
		if err != nil {
			return step.Outcome{}, cli.Hint(err, "remove the file yourself: it holds a secret")
		}
		if r.Status == record.StatusRemoved {
			o.Status = record.StatusDone
		}
		if err := u.Out.Write(r); err != nil {
			return step.Outcome{}, err
		}
	}
	return o, nil
}
