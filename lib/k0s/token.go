package k0s

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"sigs.k8s.io/yaml"
)

// What a host can join a cluster as, as k0s token create has it.
const (
	RoleWorker     = "worker"
	RoleController = "controller"
)

// The users in join tokens, by which k0s tells what one is good for
// (k0sproject/k0s, pkg/token/kubeconfig.go).
const (
	workerUser     = "kubelet-bootstrap"
	controllerUser = "controller-bootstrap"
)

// maxToken bounds the kubeconfig in a token, in bytes.
const maxToken = 1 << 20

// ErrToken is wrapped by what is wrong with a token.
var ErrToken = errors.New("not a join token of k0s")

// Token is what a join token says, without what is secret in it.
type Token struct {
	Role   string // RoleWorker or RoleController: what one joins as
	Server string // URL of the API that is joined
}

// For returns an error if the token is for another role.
func (t Token) For(role string) error {
	if t.Role != role {
		return fmt.Errorf("it is for a %s, not for a %s", t.Role, role)
	}
	return nil
}

// CreateToken has the k0s that runs make a token, which is valid for expiry, in
// whole seconds.
func (b Binary) CreateToken(ctx context.Context, role string, expiry time.Duration) ([]byte, Token, error) {
	out, err := b.run(ctx, servicePatience, nil, "token", "create", "--role", role, "--expiry", expiry.String())
	if err != nil {
		return nil, Token{}, err
	}
	t, err := ParseToken([]byte(out))
	if err == nil {
		err = t.For(role)
	}
	if err != nil {
		return nil, Token{}, fmt.Errorf("k0s token create: %w", err)
	}
	return bytes.TrimSpace([]byte(out)), t, nil
}

// ParseToken reads a token: a kubeconfig, packed with gzip and then written in
// base64 (k0sproject/k0s, pkg/token/joinencode.go). Its errors wrap ErrToken,
// and have nothing of the token in them.
func ParseToken(text []byte) (Token, error) {
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		return Token{}, fmt.Errorf("%w: not in base64", ErrToken)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return Token{}, fmt.Errorf("%w: not compressed", ErrToken)
	}
	config, err := io.ReadAll(io.LimitReader(z, maxToken+1))
	if err != nil || len(config) > maxToken {
		return Token{}, fmt.Errorf("%w: truncated, or too long", ErrToken)
	}
	var k struct {
		Clusters []struct{ Cluster struct{ Server string } }
		Users    []struct{ Name string }
	}
	if yaml.Unmarshal(config, &k) != nil || len(k.Clusters) == 0 || len(k.Users) == 0 {
		return Token{}, fmt.Errorf("%w: it contains no kubeconfig", ErrToken)
	}
	t := Token{Server: k.Clusters[0].Cluster.Server}
	if u, err := url.Parse(t.Server); err != nil || u.Scheme != "https" || u.Host == "" {
		return Token{}, fmt.Errorf("%w: no server in the kubeconfig", ErrToken)
	}
	switch k.Users[0].Name {
	case workerUser:
		t.Role = RoleWorker
	case controllerUser:
		t.Role = RoleController
	default:
		return Token{}, fmt.Errorf("%w: for a user that k0s does not have", ErrToken)
	}
	return t, nil
}
