package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// Made by bcrypt at its lowest cost, to keep the tests quick.
const (
	aliceLine = "alice:$2y$05$kxH0jQ7XtkyhWxZpxU/0.OOWdP6pNrteF.wRfJnjeprEcvTT3DVXi" // wonder land
	bobLine   = "bob:$2y$05$TYWdHoV2z5vNt77frVfecuu2/Bg1CX5/VpoKqUFlYFXh0l6pqf5km"   // b:uilder
)

func writeUsers(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestParseHtpasswd(t *testing.T) {
	hash := strings.TrimPrefix(aliceLine, "alice:")
	for _, c := range []struct {
		name, text string
		users      int
		err        string
	}{
		{"two", aliceLine + "\n" + bobLine + "\n", 2, ""},
		{"from Windows, with comments", "# users\r\n\r\n" + aliceLine + "\r\n", 1, ""},
		{"further fields", aliceLine + ":admin", 1, ""},
		{"2a and 2b", "a:$2a" + hash[3:] + "\nb:$2b" + hash[3:], 2, ""},
		{"empty", "\n# none\n", 0, "no users"},
		{"no colon", "alice", 0, "line 1: must be NAME:HASH"},
		{"no name", ":" + hash, 0, "line 1: must be NAME:HASH"},
		{"plain text", aliceLine + "\nbob:secret", 0, `line 2: user "bob": not a bcrypt hash`},
		{"md5", "bob:$apr1$5Xw1bG0j$aaaaaaaaaaaaaaaaaaaaaa", 0, "not a bcrypt hash"},
		{"sha", "bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", 0, "not a bcrypt hash"},
		{"truncated", "bob:" + hash[:59], 0, "not a bcrypt hash"},
		{"cost", "bob:$2y$31" + hash[6:], 0, "cost 31, must be at most 15"},
		{"not a cost", "bob:$2y$xx" + hash[6:], 0, `user "bob"`},
		{"twice", aliceLine + "\n" + aliceLine, 0, `line 2: user "alice" has two lines`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseHtpasswd([]byte(c.text))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || len(got.hashes) != c.users || len(got.decoys) != len(got.hashes) {
				t.Errorf("got %v, %v, want %d users", got, err, c.users)
			}
		})
	}
}

// FuzzHtpasswd: a file is either rejected or consists of users whose hashes can
// be computed in bounded time.
func FuzzHtpasswd(f *testing.F) {
	f.Add([]byte(aliceLine + "\n# comment\n\n" + bobLine))
	f.Add([]byte("a:$2y$31$" + strings.Repeat("x", 53)))
	f.Add([]byte("\r\n:\x00:$2"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseHtpasswd(data)
		if err != nil {
			return
		}
		if len(got.hashes) == 0 || len(got.decoys) != len(got.hashes) {
			t.Fatal("accepted without users")
		}
		for name, hash := range got.hashes {
			cost, err := bcrypt.Cost(hash)
			if name == "" || strings.ContainsAny(name, ":\n") || len(hash) != hashLen || err != nil || cost > maxCost {
				t.Fatalf("accepted %q with %q: cost %d, %v", name, hash, cost, err)
			}
			if !bytes.Contains(data, hash) {
				t.Fatalf("hash %q is not in the file", hash)
			}
		}
	})
}
