package main

import (
	"fmt"

	"k0rdent-airgap/lib/k0s"
)

// tokenName is what the join token is called where it is packed.
const tokenName = "token"

// readToken reads a file with a join token, and checks what it is good for.
func readToken(path, role string) ([]byte, error) {
	text, t, err := k0s.ReadToken(path)
	if err != nil {
		return nil, err
	}
	if (role == k0s.RoleWorker) != (t.Role == k0s.RoleWorker) {
		return nil, fmt.Errorf("%s: %w", path, t.For(role))
	}
	return text, nil
}
