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

// The roles that a host can join a cluster as, named as in k0s token create.
const (
	RoleWorker     = "worker"
	RoleController = "controller"
)

// The users in join tokens, from which k0s determines the role of a token
// (k0sproject/k0s, pkg/token/kubeconfig.go).
const (
	workerUser     = "kubelet-bootstrap"
	controllerUser = "controller-bootstrap"
)

// maxToken limits the size of the kubeconfig in a token, in bytes.
const maxToken = 1 << 20

// ErrToken is wrapped by the errors for an invalid token.
var ErrToken = errors.New("not a join token of k0s")

// Token is the content of a join token without its secret.
type Token struct {
	Role   string   // RoleWorker or RoleController
	Server *url.URL // of the cluster's API
}

// For returns an error if the token is for another role.
func (t Token) For(role string) error {
	if t.Role != role {
		return fmt.Errorf("it is for a %s, not for a %s", t.Role, role)
	}
	return nil
}

// CreateToken makes a token at the running k0s, which is valid for expiry, in
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

// ParseToken parses a token: a kubeconfig, compressed with gzip and encoded in
// base64 (k0sproject/k0s, pkg/token/joinencode.go). Its errors wrap ErrToken and
// do not repeat the token.
func ParseToken(text []byte) (Token, error) {
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		return Token{}, fmt.Errorf("%w: not base64", ErrToken)
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
	server, err := url.Parse(k.Clusters[0].Cluster.Server)
	if err != nil || server.Scheme != "https" || server.Host == "" {
		return Token{}, fmt.Errorf("%w: no server in the kubeconfig", ErrToken)
	}
	t := Token{Server: server}
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
