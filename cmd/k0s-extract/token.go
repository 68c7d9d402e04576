package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"k0rdent-airgap/lib/hostfile"
)

// tokenName is what the join token is called where it is packed.
const tokenName = "token"

// The users in join tokens, by which k0s tells what one is good for
// (k0sproject/k0s, pkg/token/kubeconfig.go).
const (
	workerUser     = "kubelet-bootstrap"
	controllerUser = "controller-bootstrap"
)

var errNoToken = errors.New("not a join token of k0s")

// maxToken bounds the configuration in a token, in bytes.
const maxToken = 1 << 20

// readToken reads a file with a join token, and checks what it is good for.
func readToken(path, role string) ([]byte, error) {
	text, err := hostfile.Read(path)
	if err != nil {
		return nil, err
	}
	text = bytes.TrimSpace(text)
	user, err := tokenUser(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	want := workerUser
	if role != roleWorker {
		want = controllerUser
	}
	if user != want {
		return nil, fmt.Errorf("%s: the token is of a %s, and does not make a %s", path, user, role)
	}
	return text, nil
}

// tokenUser gives the user that a join token is of. A token is a kubeconfig,
// packed with gzip and then written in base64 (pkg/token/joinencode.go).
func tokenUser(text []byte) (string, error) {
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(text)))
	if err != nil {
		return "", errNoToken
	}
	config, err := io.ReadAll(io.LimitReader(z, maxToken))
	if err != nil {
		return "", errNoToken
	}
	for _, user := range []string{workerUser, controllerUser} {
		if bytes.Contains(config, []byte("user: "+user)) {
			return user, nil
		}
	}
	return "", errNoToken
}
