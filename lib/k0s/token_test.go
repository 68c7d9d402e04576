package k0s

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	standin "k0rdent-airgap/tests/k0s"
)

func TestParseToken(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"for a worker", standin.Token(workerUser, "https://10.0.0.1:6443"), "worker https://10.0.0.1:6443"},
		{"for a controller", standin.Token(controllerUser, "https://[fd00::1]:9443"), "controller https://[fd00::1]:9443"},
		{"for somebody else", standin.Token("admin", "https://10.0.0.1:6443"), "not a join token of k0s: for a user that k0s does not have"},
		{"no server", standin.Token(workerUser, "10.0.0.1"), "not a join token of k0s: no server in the kubeconfig"},
		{"not base64", "no token", "not a join token of k0s: not base64"},
		{"base64 of something", "aGVsbG8=", "not a join token of k0s: not compressed"},
		{"empty", "", "not a join token of k0s: not compressed"},
		{"a bomb", bomb(), "not a join token of k0s: truncated, or too long"},
		{"truncated", standin.Token(workerUser, "https://10.0.0.1:6443")[:80], "not a join token of k0s: truncated, or too long"},
	} {
		got, err := ParseToken([]byte(tt.text))
		text := fmt.Sprint(got.Role, " ", got.Server)
		if err != nil {
			text = err.Error()
		}
		if text != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, text, tt.want)
		}
	}
}

// TestCreateToken checks that k0s made the requested token.
func TestCreateToken(t *testing.T) {
	b := script(t, `[ "$*" = "token create --role worker --expiry 24h0m0s" ] || exit 1
echo '`+strings.TrimSpace(standin.Token(workerUser, "https://10.0.0.1:6443"))+`'`)
	if text, token, err := b.CreateToken(t.Context(), RoleWorker, 24*time.Hour); err != nil || token.Server.String() != "https://10.0.0.1:6443" || bytes.ContainsAny(text, " \n") {
		t.Errorf("CreateToken = %q, %+v, %v", text, token, err)
	}
	other := script(t, "echo '"+strings.TrimSpace(standin.Token(controllerUser, "https://10.0.0.1:6443"))+"'")
	if _, _, err := other.CreateToken(t.Context(), RoleWorker, time.Hour); err == nil || !strings.Contains(err.Error(), "it is for a controller, not for a worker") {
		t.Errorf("CreateToken = %v, want that it is for a controller", err)
	}
	if _, _, err := script(t, "echo hello").CreateToken(t.Context(), RoleWorker, time.Hour); !errors.Is(err, ErrToken) {
		t.Errorf("CreateToken = %v, want ErrToken", err)
	}
}

// bomb is a small text that decompresses to a large one.
func bomb() string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range 64 {
		z.Write(make([]byte, 1<<20))
	}
	z.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// FuzzToken checks that an accepted token names a role and a server, and that
// errors do not repeat any of the text.
func FuzzToken(f *testing.F) {
	f.Add([]byte(standin.Token(workerUser, "https://10.0.0.1:6443")))
	f.Add([]byte(standin.Token(controllerUser, "https://x")))
	f.Add([]byte("H4sIAAAAAAAA/w=="))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ParseToken(text)
		if err != nil {
			if !errors.Is(err, ErrToken) || len(err.Error()) > 80 {
				t.Errorf("error %q, want ErrToken without the text", err)
			}
			return
		}
		if got.Role != RoleWorker && got.Role != RoleController || got.Server.Scheme != "https" {
			t.Errorf("%+v has no role or no server", got)
		}
	})
}
