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

// joinSteps makes this host a node of a cluster.
func (u *up) joinSteps() []step.Step {
	steps := []step.Step{{Name: "preflight", Run: u.checkJoin}, {Name: "notes", Run: u.note}}
	if !u.worker {
		steps = append(steps, step.Step{Name: "k0s.yaml", Run: u.configure})
	}
	return append(steps,
		step.Step{Name: "token", Run: u.placeToken},
		step.Step{Name: "k0s-install", Run: u.install(u.cfg.join)},
		step.Step{Name: "k0s-start", Run: u.start},
		step.Step{Name: "k0s-joined", Run: u.waitMember},
		step.Step{Name: "token-removed", Run: u.removeTokens},
		step.Step{Name: "k0s-ready", Run: u.waitJoined},
	)
}

func (u *up) checkJoin(ctx context.Context, do bool) (step.Outcome, error) {
	u.checkToken(ctx)
	return u.preflight(ctx, do)
}

// joined reports whether k0s is a node already, so that it needs no token: a
// worker has a kubeconfig of its own then, a controller a member of etcd
// (k0sproject/k0s, pkg/component/worker and cmd/controller, needToJoin).
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

// checkToken looks at the token and at the server that it is for.
func (u *up) checkToken(ctx context.Context) {
	if u.joined() {
		u.Note("this host has joined already")
		return
	}
	text, err := u.token()
	switch {
	case err != nil:
		u.Fail("token", "", "%v", err)
		return
	case text == nil:
		u.Fail("token", fmt.Sprintf("k0s-up --token %s, on a controller of the cluster, makes one", u.cfg.join),
			"%s does not exist", cmp.Or(u.cfg.tokenFile, u.host.joinToken))
		return
	}
	t, err := k0s.ParseToken(text)
	if err != nil {
		u.Fail("token", "", "%v", err)
		return
	}
	if err := t.For(u.cfg.join); err != nil {
		u.Fail("token", fmt.Sprintf("k0s-up --token %s makes the right one", u.cfg.join), "%v", err)
	}
	if want := u.cfg.file.joinServer; want != "" && !sameServer(want, t.Server) {
		u.Fail("token", "", "it is for %s, not for %s, which the configuration file names", t.Server, want)
	}
	u.checkServer(ctx, t.Server)
}

// sameServer compares two addresses of an API; a bare host stands for any port.
func sameServer(want, have string) bool {
	u, err := url.Parse(have)
	if err != nil {
		return false
	}
	if w, err := url.Parse(want); err == nil && w.Host != "" {
		want = w.Host
	}
	return want == u.Host || want == u.Hostname()
}

// checkServer checks that the server answers.
func (u *up) checkServer(ctx context.Context, server string) {
	at, err := url.Parse(server)
	if err != nil {
		u.Fail("token", "", "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.Host)
	if err != nil {
		u.Fail("server", "check that k0s runs there and that no firewall is in the way", "%v", err)
		return
	}
	conn.Close()
	u.Note("joins %s", server)
}

// placeToken puts the token where k0s reads it, for its owner only. k0s's own
// service names that file forever, so the token is not left in place.
func (u *up) placeToken(_ context.Context, do bool) (step.Outcome, error) {
	if u.member = u.joined(); u.member {
		return step.Unchanged("this host has joined already"), nil
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
// the node is Ready: kubelet has a kubeconfig once it has a certificate of its
// own, and a controller is a member of etcd before it has a kubelet.
func (u *up) waitMember(ctx context.Context, do bool) (step.Outcome, error) {
	if !do && u.member {
		return step.Unchanged("this host has joined already"), nil
	}
	if !do {
		return step.Changed(do, "wait until this host has joined as a %s", u.cfg.join), nil
	}
	err := u.await(ctx, "k0s-joined", func(ctx context.Context, _ *cli.Wait) error { return u.open(ctx, u.k0s.kubeletConfig) })
	switch {
	case err != nil:
		return step.Outcome{}, err
	case u.member:
		return step.Unchanged("this host has joined already"), nil
	}
	return step.Changed(do, "this host has joined as a %s", u.cfg.join), nil
}

// tokenFiles lists the files that a token is in, and no longer needs to be.
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
			return step.Outcome{}, cli.Hint(err, "remove it: it is a secret")
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
