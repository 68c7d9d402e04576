package main

import (
	"encoding/base64"
	"log/slog"
	"strings"
	"testing"
)

func TestVerbose(t *testing.T) {
	c := startChild(t, t.TempDir(), "--verbose")
	c.want(404, "GET", "/v2/a/tags/list", nil)
	c.stop()
	for _, want := range []string{"method=GET", "path=/v2/a/tags/list", "status=404", "remote=127.0.0.1:"} {
		if !strings.Contains(c.stderr.String(), want) {
			t.Errorf("log %q, want %s", c.stderr.String(), want)
		}
	}
}

// The access log has the user of each request, and unencrypted passwords cause a
// warning.
func TestAccessLog(t *testing.T) {
	c := startChild(t, t.TempDir(), "--access-log", "json", "--host", "0.0.0.0", "--htpasswd", writeUsers(t, aliceLine))
	login := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:wonder land"))
	c.want(202, "POST", "/v2/a/blobs/uploads/", nil, "Authorization", login)
	c.stop()
	for _, want := range []string{
		`"msg":"passwords cross the network unencrypted; use --tls auto"`,
		`"method":"POST","path":"/v2/a/blobs/uploads/","status":202,`,
		`"user":"alice"`,
	} {
		if !strings.Contains(c.stderr.String(), want) {
			t.Errorf("log %q, want %s", c.stderr.String(), want)
		}
	}
}

// What a client sends must not move the cursor of the terminal that shows the log.
func TestFaultLines(t *testing.T) {
	var out strings.Builder
	slog.New(&faultHandler{&out}).Warn("wrong", "user", "\x1b[2J\r\nx", "remote", "192.0.2.1:5", "more", 1)
	if want := "oci-serve: wrong for ?[2J?; x from 192.0.2.1:5\n"; out.String() != want {
		t.Errorf("line %q, want %q", out.String(), want)
	}
}
