package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	kyaml "sigs.k8s.io/yaml"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
)

// A token is a kubeconfig, compressed, in base64 (k0sproject/k0s, pkg/token).
// Its user's name tells what one can join as.
const (
	workerUser     = "kubelet-bootstrap"
	controllerUser = "controller-bootstrap"
)

// joinToken is what a token says, without what is secret in it.
type joinToken struct {
	role   string
	server string // URL of the API that is joined
}

// errToken is wrapped by what is wrong with a token.
var errToken = errors.New("not a token of k0s")

// readToken reads a token. Its errors have nothing of it in them.
func readToken(text []byte) (joinToken, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return joinToken{}, fmt.Errorf("%w: not in base64", errToken)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return joinToken{}, fmt.Errorf("%w: not compressed", errToken)
	}
	const most = 1 << 20
	config, err := io.ReadAll(io.LimitReader(z, most+1))
	if err != nil || len(config) > most {
		return joinToken{}, fmt.Errorf("%w: cut short, or too long", errToken)
	}
	var k struct {
		Clusters []struct{ Cluster struct{ Server string } }
		Users    []struct{ Name string }
	}
	if kyaml.Unmarshal(config, &k) != nil || len(k.Clusters) == 0 || len(k.Users) == 0 {
		return joinToken{}, fmt.Errorf("%w: no kubeconfig in it", errToken)
	}
	t := joinToken{server: k.Clusters[0].Cluster.Server}
	if u, err := url.Parse(t.server); err != nil || u.Scheme != "https" || u.Host == "" {
		return joinToken{}, fmt.Errorf("%w: no server in it", errToken)
	}
	switch k.Users[0].Name {
	case workerUser:
		t.role = roleWorker
	case controllerUser:
		t.role = roleController
	default:
		return joinToken{}, fmt.Errorf("%w: for a user that k0s does not have", errToken)
	}
	return t, nil
}

// tokenSteps makes a token for another host.
func (i *installer) tokenSteps() []step {
	path := orText(i.cfg.tokenFile, filepath.Join(i.host.state, i.cfg.token+"-token"))
	check := func(ctx context.Context) (outcome, error) {
		running, err := i.k0s.status(ctx)
		switch {
		case err != nil:
			return outcome{}, err
		case running == nil:
			return outcome{}, cli.Hint(errors.New("no k0s runs here"), "make the token on a controller of the cluster")
		case running.Role == roleWorker:
			return outcome{}, cli.Hint(errors.New("this host is a worker"), "make the token on a controller of the cluster")
		case running.SingleNode:
			return outcome{}, errors.New("k0s runs with --single, which nobody can join")
		}
		return unchanged("k0s %s runs as a %s", running.Version, running.Role), nil
	}
	return []step{
		{name: "preflight", plan: check, run: check},
		{
			name: "token",
			plan: func(context.Context) (outcome, error) {
				return planned("%s: for a %s, good for %v", path, i.cfg.token, i.cfg.expiry), nil
			},
			run: func(ctx context.Context) (outcome, error) { return i.makeToken(ctx, path) },
		},
	}
}

// makeToken has k0s make a token, and writes it to a file for its owner only.
func (i *installer) makeToken(ctx context.Context, path string) (outcome, error) {
	out, err := i.k0s.run(ctx, longRun, nil, "token", "create", "--role", i.cfg.token, "--expiry", i.cfg.expiry.String())
	if err != nil {
		return outcome{}, err
	}
	t, err := readToken([]byte(out))
	if err != nil {
		return outcome{}, fmt.Errorf("k0s token create: %w", err)
	}
	r, err := hostfile.Put(path, 0o600, []byte(strings.TrimSpace(out)+"\n"))
	if err != nil {
		return outcome{}, err
	}
	r.Digest = "" // of a secret nobody needs it
	if err := i.out.Write(r); err != nil {
		return outcome{}, err
	}
	return done("%s: joins %s as a %s, good for %v", path, t.server, t.role, i.cfg.expiry), nil
}
