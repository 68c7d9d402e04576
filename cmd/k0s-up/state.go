package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/record"
)

// state is what is kept on this host from one run to the next. Without it, --reset
// cannot tell which files are ours.
type state struct {
	path string

	Files   []ownFile   `json:"files,omitempty"`
	Pins    client.Pins `json:"pins,omitempty"`    // the digests that tags in the registry must have
	Restart bool        `json:"restart,omitempty"` // k0s must be restarted: its configuration has changed
	Removal *removal    `json:"removal,omitempty"` // the decision of a --reset that stopped k0s
}

// ownFile is a file that k0s-up or a tool before it in the pipe wrote.
type ownFile struct {
	Path   string      `json:"path"`
	Digest string      `json:"digest,omitempty"` // of what was written; "" for a secret
	Backup string      `json:"backup,omitempty"` // a copy of the file that it replaced
	Mode   fs.FileMode `json:"mode,omitempty"`   // of the file that it replaced
}

// stateName is the name of the file in the state directory.
const stateName = "install.json"

func readState(dir string) (*state, error) {
	s := &state{path: filepath.Join(dir, stateName)}
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, cli.Hint(fmt.Errorf("%s: %w", s.path, err), "move it away; --reset then does not know which files to remove")
	}
	return s, nil
}

func (s *state) save() error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	_, err = hostfile.Put(s.path, 0o600, append(text, '\n'))
	return err
}

func (s *state) file(path string) *ownFile {
	if i := slices.IndexFunc(s.Files, func(f ownFile) bool { return f.Path == path }); i >= 0 {
		return &s.Files[i]
	}
	return nil
}

// own records a file as ours. It keeps the first backup: a later one would hold our
// own text.
func (s *state) own(path, digest, backup string) {
	if f := s.file(path); f != nil {
		f.Digest = digest
		return
	}
	f := ownFile{Path: path, Digest: digest, Backup: backup}
	if info, err := os.Stat(path); err == nil && backup != "" {
		f.Mode = info.Mode().Perm()
	}
	s.Files = append(s.Files, f)
}

// take records the files of other tools' records that those tools wrote, in this
// run or an earlier one.
func (s *state) take(files []record.File) {
	for _, f := range files {
		switch f.Status {
		case record.StatusWritten, record.StatusUnchanged:
			s.own(f.Path, f.Digest, "")
		case record.StatusRemoved:
			s.forget(f.Path)
		}
	}
}

func (s *state) forget(path string) {
	s.Files = slices.DeleteFunc(s.Files, func(f ownFile) bool { return f.Path == path })
}

// lock keeps other runs from working on this host. The kernel releases it when the
// process ends.
func lock(ctx context.Context, path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrPermission) {
		return nil, cli.Hint(err, "run it with sudo, or as root")
	}
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
		}
		who, _ := os.ReadFile(path)
		return nil, cli.Hint(cli.TryAgain(fmt.Errorf("another run is in progress on this host (process %s)", who)), "wait until it ends, then run k0s-up again")
	}
	if err := os.WriteFile(path, []byte(fmt.Sprint(os.Getpid())), 0o600); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// digestOf returns a digest in the form of records.
func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }
