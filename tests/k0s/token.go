package k0s

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
)

// Token makes a join token for a user of k0s's, kubelet-bootstrap or
// controller-bootstrap, as k0s token create does (k0sproject/k0s, pkg/token).
func Token(user, server string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprintf(z, "apiVersion: v1\nkind: Config\nclusters:\n- cluster: {server: %q}\n  name: k0s\nusers:\n- name: %s\n  user: {token: abcdef.0123456789abcdef}\n", server, user)
	z.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes()) + "\n"
}
