package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/machine"
)

// passwds runs oci-serve --passwd with a password on stdin.
func passwds(password string, args ...string) (code int, stdout, stderr string) {
	var out, problems bytes.Buffer
	err := run(context.Background(), args, strings.NewReader(password), &out, &problems)
	cli.Report(&problems, "oci-serve", err)
	return cli.Code(err), out.String(), problems.String()
}

func TestPasswdKeepsOtherLines(t *testing.T) {
	before := "# the site's users\n\n" + aliceLine + ":admin\r\n" + bobLine
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"carol", "alice"} {
		code, stdout, stderr := passwds("new secret of "+name+"\n", "--htpasswd", file, "--passwd", name, "--password-file", "-")
		if code != 0 || !strings.Contains(stdout, `"status":"written"`) || strings.Contains(stdout+stderr, "secret") || strings.Contains(stdout+stderr, "$2") {
			t.Fatalf("code %d, stdout %q, stderr %q", code, stdout, stderr)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 6 || lines[0] != "# the site's users" || lines[1] != "" || !strings.HasPrefix(lines[2], "alice:$2") || lines[3] != bobLine || !strings.HasPrefix(lines[4], "carol:$2") {
		t.Errorf("the file has %q", lines)
	}
	u, err := newUsers(file, newLog(&bytes.Buffer{}, config{}))
	if err != nil {
		t.Fatal(err)
	}
	for name, password := range map[string]string{"alice": "new secret of alice", "bob": "b:uilder", "carol": "new secret of carol"} {
		if err := u.check(context.Background(), here, name, password); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if code, _, stderr := passwds("", "--htpasswd", file, "--passwd", "bob", "--remove"); code != 0 {
		t.Errorf("--remove: %d, %s", code, stderr)
	}
	if text, _ := os.ReadFile(file); strings.Contains(string(text), "bob") || !strings.Contains(string(text), "carol") {
		t.Errorf("after --remove: %q", text)
	}
}

func TestPasswdWithoutAFilePrintsTheLine(t *testing.T) {
	code, stdout, stderr := passwds("secret", "--passwd", "alice", "--password-file", "-")
	table, err := parseHtpasswd([]byte(stdout))
	if code != 0 || err != nil || table.hashes["alice"] == nil || strings.Count(stdout, "\n") != 1 || stderr != "" {
		t.Errorf("code %d, stdout %q, stderr %q, %v", code, stdout, stderr, err)
	}
}

func TestPasswdRefusals(t *testing.T) {
	dir := t.TempDir()
	users := writeUsers(t, aliceLine)
	damaged := writeUsers(t, aliceLine, "bob:secret")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(users, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, password string
		args           []string
		code           int
		want           string
	}{
		{"empty password", "", []string{"--password-file", "-"}, 2, "stdin: the file is empty"},
		{"two lines", "a\nb\n", []string{"--password-file", "-"}, 2, "more than one line"},
		{"long password", strings.Repeat("ä", 37), []string{"--password-file", "-"}, 1, "74 bytes long; bcrypt uses only the first 72"},
		{"no terminal", "secret", nil, 2, "stdin is not a terminal\nhint: --password-file"},
		{"no such password file", "", []string{"--password-file", dir + "/none"}, 2, "no such file"},
		{"user of none", "", []string{"--htpasswd", users, "--passwd", "bob", "--remove"}, 1, `no user "bob" in it`},
		{"last user", "", []string{"--htpasswd", users, "--remove"}, 1, "only user"},
		{"another line is damaged", "secret", []string{"--htpasswd", damaged, "--password-file", "-"}, 1, `line 2: user "bob": not a bcrypt hash`},
		{"link", "secret", []string{"--htpasswd", link, "--password-file", "-"}, 1, "hint: name the file that the link points to"},
		{"directory", "secret", []string{"--htpasswd", dir, "--password-file", "-"}, 1, "is a directory"},
		{"remove from nothing", "", []string{"--htpasswd", dir + "/none", "--remove"}, 1, "no such file"},
		{"remove without a file", "", []string{"--remove"}, 2, "requires --htpasswd"},
		{"both", "", []string{"--htpasswd", users, "--remove", "--password-file", "-"}, 2, "mutually exclusive"},
		{"empty name", "", []string{"--passwd", ""}, 2, "without a colon"},
		{"colon", "", []string{"--passwd", "a:b"}, 2, "without a colon"},
		{"line break", "", []string{"--passwd", "a\nb"}, 2, "without a colon"},
		{"comment", "", []string{"--passwd", "#a"}, 2, "without a colon"},
		{"gc", "", []string{"--gc"}, 2, "--gc and --passwd are mutually exclusive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := passwds(c.password, append([]string{"--passwd", "alice"}, c.args...)...)
			if code != c.code || !strings.Contains(stderr, c.want) || strings.Contains(stdout, "secret") || strings.Contains(stdout, "$2") {
				t.Errorf("code %d, stdout %q, stderr %q, want code %d and %q", code, stdout, stderr, c.code, c.want)
			}
		})
	}
	if text, _ := os.ReadFile(users); string(text) != aliceLine+"\n" {
		t.Errorf("the file has become %q", text)
	}
}

// No user is lost when several runs change one file, which does not exist at first.
func TestPasswdRunsTogether(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	const n = 8
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			code, _, stderr := passwds("secret", "--htpasswd", file, "--passwd", fmt.Sprint("user", i), "--password-file", "-")
			if code != 0 {
				t.Errorf("user %d: code %d, %s", i, code, stderr)
			}
		})
	}
	all.Wait()
	table, err := readHtpasswd(file)
	if err != nil || len(table.hashes) != n {
		t.Errorf("%v, %v, want %d users", table, err, n)
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Errorf("left %v", entries)
	}
}

func TestPasswdKeepsTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		machine.Skip(t, "only root can give files away")
	}
	for _, c := range []struct {
		uid, gid   int
		mode, want os.FileMode
	}{
		{4242, 4243, 0o640, 0o640},
		{4242, 4243, 0o604, 0o600},
		{0, 4243, 0o640, 0o640},
		{0, 4243, 0o600, 0o600},
	} {
		file := writeUsers(t, aliceLine)
		if err := os.Chown(file, c.uid, c.gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := passwds("secret", "--htpasswd", file, "--passwd", "bob", "--password-file", "-"); code != 0 {
			t.Fatal(stderr)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if s := info.Sys().(*syscall.Stat_t); int(s.Uid) != c.uid || int(s.Gid) != c.gid || info.Mode() != c.want {
			t.Errorf("%d:%d %v has become %d:%d %v, want mode %v", c.uid, c.gid, c.mode, s.Uid, s.Gid, info.Mode(), c.want)
		}
	}
}
