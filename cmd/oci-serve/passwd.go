package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/crypto/bcrypt"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/textfile"
)

const (
	// serviceGroup is the group of the user that oci-serve.service runs as.
	serviceGroup = "oci-serve"
	// lockTime bounds the wait for another process that changes the file.
	lockTime = 10 * time.Second
	lockTick = 20 * time.Millisecond
)

// passwd sets or removes the line of one user in a file of users, or prints the
// line if no file is named.
func passwd(ctx context.Context, cfg config, stdin io.Reader, stdout, stderr io.Writer, out *record.Writer) error {
	line := ""
	if !cfg.remove {
		password, err := newPassword(ctx, cfg, stdin, stderr)
		if err != nil {
			return err
		}
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
		if err != nil {
			return err
		}
		line = cfg.passwd + ":" + string(hash)
	}
	if cfg.htpasswd == "" {
		_, err := fmt.Fprintln(stdout, line)
		return err
	}
	file, err := filepath.Abs(cfg.htpasswd)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(lockTime)
	for {
		r, err := changeUsers(ctx, file, cfg.passwd, line, deadline)
		if errors.Is(err, fs.ErrExist) { // made by another process since
			continue
		}
		if errors.Is(err, hostfile.ErrLink) {
			err = cli.Hint(err, "name the file that the link points to")
		}
		if r.Status == "" { // it was not written
			return err
		}
		r.Digest = "" // nobody needs it of a file with secrets
		return errors.Join(err, out.WriteAs(r, record.Sentence("oci-serve: "+r.Path+" "+r.Status)))
	}
}

// checkedUser returns a name for --passwd unchanged.
func checkedUser(name string) (string, error) {
	unfit := func(r rune) bool { return r == ':' || !unicode.IsPrint(r) }
	if name == "" || name[0] == '#' || strings.TrimSpace(name) != name || strings.ContainsFunc(name, unfit) {
		return "", errors.New("must be a user name without a colon")
	}
	return name, nil
}

// newPassword reads a password that bcrypt can hash.
func newPassword(ctx context.Context, cfg config, stdin io.Reader, stderr io.Writer) (password string, err error) {
	switch cfg.passwordFile {
	case "":
		password, err = cli.AskPassword(ctx, stdin, stderr, "New password for "+cfg.passwd)
	case "-":
		password, err = textfile.PasswordOf(stdin, "stdin")
	default:
		password, err = textfile.Password(cfg.passwordFile)
	}
	switch {
	case err != nil && cfg.passwordFile != "":
		return "", cli.Misuse("--password-file: %w", err)
	case err != nil:
		return "", err
	case password == "":
		return "", errors.New("the password is empty")
	case len(password) > maxPassword:
		return "", fmt.Errorf("the password is %d bytes long; bcrypt uses only the first %d", len(password), maxPassword)
	}
	return password, nil
}

// maxPassword is how many bytes of a password bcrypt takes into account.
const maxPassword = 72

// changeUsers replaces a user's line in a file, or removes it if the new one is
// empty. The error is fs.ErrExist if another process has made the file since.
func changeUsers(ctx context.Context, file, name, line string, deadline time.Time) (record.File, error) {
	old, err := lockUsers(ctx, file, deadline)
	create := hostfile.Create
	if errors.Is(err, fs.ErrNotExist) && line != "" {
		create, err = hostfile.CreateNew, nil
	}
	if err != nil {
		return record.File{}, err
	}
	var text []byte
	if old != nil {
		defer old.Close()
		if text, err = textfile.All(old); err != nil {
			return record.File{}, fmt.Errorf("%s: %w", file, err)
		}
	}
	if text, err = withUser(text, name, line); err == nil {
		_, err = parseHtpasswd(text)
	}
	if err != nil {
		return record.File{}, fmt.Errorf("%s: %w", file, err)
	}
	uid, gid, mode, err := ownerOf(old)
	if err != nil {
		return record.File{}, err
	}
	f, err := create(file, mode)
	if err != nil {
		return record.File{}, err
	}
	defer f.Abort()
	if err := f.Own(uid, gid); err != nil {
		return record.File{}, err
	}
	if _, err := f.Write(text); err != nil {
		return record.File{}, err
	}
	return f.Commit()
}

// lockUsers opens a file of users and locks it against other runs of --passwd.
// Each of them replaces the file, so a lock counts only if the path still leads
// to the file that was locked.
func lockUsers(ctx context.Context, file string, deadline time.Time) (*os.File, error) {
	for {
		f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		locked := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		now, err := os.Stat(file)
		if locked == nil && err == nil {
			if own, err := f.Stat(); err == nil && os.SameFile(own, now) {
				return f, nil
			}
		}
		f.Close()
		switch {
		case locked != nil && !errors.Is(locked, syscall.EWOULDBLOCK):
			return nil, &fs.PathError{Op: "lock", Path: file, Err: locked}
		case time.Now().After(deadline):
			return nil, cli.Hint(cli.TryAgain(fmt.Errorf("%s: another process has locked it", file)), "try again when that process has ended")
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockTick):
		}
	}
}

// withUser returns the text of a file of users in which a user has this line, or
// none if line is empty. Other lines stay as they are.
func withUser(text []byte, name, line string) ([]byte, error) {
	var out bytes.Buffer
	found := false
	for old := range strings.Lines(string(text)) {
		old = strings.TrimSuffix(old, "\n")
		if user, _, ok := strings.Cut(strings.TrimSpace(old), ":"); !ok || user != name {
			out.WriteString(old + "\n")
			continue
		}
		if !found && line != "" {
			out.WriteString(line + "\n")
		}
		found = true
	}
	switch {
	case line != "" && !found:
		out.WriteString(line + "\n")
	case line == "" && !found:
		return nil, fmt.Errorf("no user %q in it", name)
	case line == "":
		if _, err := parseHtpasswd(out.Bytes()); errors.Is(err, errNoUsers) {
			return nil, cli.Hint(fmt.Errorf("%q is the only user in it, and oci-serve requires one", name),
				"add another user first, or stop oci-serve and remove the file")
		}
	}
	return out.Bytes(), nil
}

// ownerOf returns the owner, group and mode of the file that replaces old: those
// of old, without access for others. Root's own file is made readable to the
// group of oci-serve.service, where there is one, unless it has another group.
func ownerOf(old *os.File) (uid, gid int, mode fs.FileMode, err error) {
	uid, gid, mode = -1, -1, 0o600
	if old != nil {
		info, err := old.Stat()
		if err != nil {
			return 0, 0, 0, err
		}
		s := info.Sys().(*syscall.Stat_t)
		uid, gid, mode = int(s.Uid), int(s.Gid), mode|info.Mode().Perm()&0o040
	}
	if os.Geteuid() != 0 || uid > 0 {
		return uid, gid, mode, nil
	}
	group, err := user.LookupGroup(serviceGroup)
	if err != nil {
		return uid, gid, mode, nil // no such service here
	}
	service, err := strconv.Atoi(group.Gid)
	if err == nil && (gid <= 0 || gid == service) {
		gid, mode = service, 0o640
	}
	return uid, gid, mode, err
}
