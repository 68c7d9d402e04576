package main

import (
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
	"k0rdent-airgap/lib/textfile"
)

// joinSteps makes this host a node of a cluster.
func (i *installer) joinSteps() []step {
	worker := i.cfg.join == k0s.RoleWorker
	p := &preflight{installer: i, join: true, worker: worker}
	check := func(ctx context.Context) (outcome, error) {
		p.checkToken(ctx)
		return p.check(ctx)
	}
	steps := []step{{name: "preflight", plan: check, run: check}, i.notesStep()}
	if !worker {
		steps = append(steps, step{name: "k0s.yaml", plan: i.planK0sYAML, run: i.writeK0sYAML})
	}
	return append(steps,
		step{name: "token", plan: i.planToken, run: i.placeToken},
		step{
			name: "k0s-install",
			plan: func(context.Context) (outcome, error) { return i.planRole(i.cfg.join, true) },
			run:  func(ctx context.Context) (outcome, error) { return i.installRole(ctx, i.cfg.join, true) },
		},
		step{name: "k0s-start", plan: i.planStart, run: i.startService},
		step{name: "k0s-ready", plan: i.planNode, run: i.waitJoined},
		step{
			name: "token-removed",
			plan: func(context.Context) (outcome, error) { return planned("%s", strings.Join(i.tokenFiles(), ", ")), nil },
			run:  func(context.Context) (outcome, error) { return i.removeTokens() },
		},
	)
}

// joined tells whether k0s is a node already, so that it needs no token: a
// worker has a kubeconfig of its own then, a controller a member of etcd
// (k0sproject/k0s, pkg/component/worker and cmd/controller, needToJoin).
func (i *installer) joined() bool {
	path := i.k0s.kubeletConfig()
	if i.cfg.join == k0s.RoleController {
		path = i.host.data + "/etcd/member/snap/db"
	}
	_, err := os.Stat(path)
	return err == nil
}

// token gives the token to join with; nil if there is none.
func (i *installer) token() ([]byte, error) {
	if i.cfg.tokenFile == "" && i.cfg.file.joinToken.text() != "" {
		return []byte(i.cfg.file.joinToken.text()), nil
	}
	text, err := textfile.Read(orText(i.cfg.tokenFile, i.host.joinToken))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// checkToken looks at the token and at the server that it is for.
func (p *preflight) checkToken(ctx context.Context) {
	if p.joined() {
		p.note("this host has joined already")
		return
	}
	text, err := p.token()
	switch {
	case err != nil:
		p.fail("token", "", "%v", err)
		return
	case text == nil:
		p.fail("token", fmt.Sprintf("k0rdent-install --token %s, on a controller of the cluster, makes one", p.cfg.join),
			"there is no %s", orText(p.cfg.tokenFile, p.host.joinToken))
		return
	}
	t, err := k0s.ParseToken(text)
	if err != nil {
		p.fail("token", "", "%v", err)
		return
	}
	if err := t.For(p.cfg.join); err != nil {
		p.fail("token", fmt.Sprintf("k0rdent-install --token %s makes the right one", p.cfg.join), "%v", err)
	}
	if want := p.cfg.file.joinServer; want != "" && !sameServer(want, t.Server) {
		p.fail("token", "", "it is for %s, not for %s, which the configuration file names", t.Server, want)
	}
	p.checkServer(ctx, t.Server)
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

// checkServer looks whether the server answers.
func (p *preflight) checkServer(ctx context.Context, server string) {
	u, err := url.Parse(server)
	if err != nil {
		p.fail("token", "", "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		p.fail("server", "see whether k0s runs there, and whether a firewall is in the way", "%v", err)
		return
	}
	conn.Close()
	p.note("joins %s", server)
}

func (i *installer) planToken(context.Context) (outcome, error) {
	if i.joined() {
		return unchanged("this host has joined already"), nil
	}
	return planned("%s, until the node is Ready", i.host.joinToken), nil
}

// placeToken puts the token where k0s reads it, for its owner only. k0s's own
// service names that file for ever, so the token is not left in place.
func (i *installer) placeToken(context.Context) (outcome, error) {
	if i.joined() {
		return unchanged("this host has joined already"), nil
	}
	text, err := i.token()
	if err != nil {
		return outcome{}, err
	}
	r, err := hostfile.Put(i.host.joinToken, 0o600, []byte(strings.TrimSpace(string(text))+"\n"))
	if err != nil {
		return outcome{}, err
	}
	r.Digest = ""
	return done("%s", i.host.joinToken), i.out.Write(r)
}

// waitJoined waits until the node is Ready as this host sees it: by the
// kubelet's own kubeconfig, with which a node may read itself.
func (i *installer) waitJoined(ctx context.Context) (outcome, error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	if err := i.open(ctx, i.k0s.kubeletConfig); err != nil {
		return outcome{}, err
	}
	if err := i.cluster.WaitAPI(ctx); err != nil {
		return outcome{}, i.lastWords(ctx, err)
	}
	if err := i.cluster.WaitNode(ctx, i.node.name, i.started); err != nil {
		return outcome{}, i.lastWords(ctx, err)
	}
	if i.started.IsZero() {
		return unchanged("node %s is Ready", i.node.name), nil
	}
	return done("node %s is Ready as a %s", i.node.name, i.cfg.join), nil
}

// tokenFiles lists the files that a token is in, and no longer needs to be.
func (i *installer) tokenFiles() []string {
	files := []string{i.host.joinToken}
	if i.cfg.tokenFile != "" {
		files = append(files, i.cfg.tokenFile)
	}
	return files
}

func (i *installer) removeTokens() (outcome, error) {
	o := unchanged("%s", strings.Join(i.tokenFiles(), ", "))
	for _, path := range i.tokenFiles() {
		r, err := hostfile.Remove(path)
		if err != nil {
			return outcome{}, cli.Hint(err, "remove it: it is a secret")
		}
		if r.Status == record.StatusRemoved {
			o.status = record.StatusDone
		}
		if err := i.out.Write(r); err != nil {
			return outcome{}, err
		}
	}
	return o, nil
}
