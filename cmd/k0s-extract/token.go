package main

import (
	"bytes"
	"fmt"

	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/textfile"
)

// tokenName is what the join token is called where it is packed.
const tokenName = "token"

// readToken reads a file with a join token, and checks what it is good for.
func readToken(path, role string) ([]byte, error) {
	text, err := textfile.Read(path)
	if err != nil {
		return nil, err
	}
	t, err := k0s.ParseToken(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if (role == k0s.RoleWorker) != (t.Role == k0s.RoleWorker) {
		return nil, fmt.Errorf("%s: it is for a %s, not for a %s", path, t.Role, role)
	}
	return bytes.TrimSpace(text), nil
}
