package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"k0rdent-airgap/lib/textfile"
)

const (
	// maxCost bounds a hash's cost: 15 takes about two seconds, and each step
	// more twice as long.
	maxCost = 15
	// hashLen is the length of every bcrypt hash, as text.
	hashLen = 60
)

var errNoUsers = errors.New("no users in it")

// table is what a file of users says: for each name its hash.
type table struct {
	hashes map[string][]byte
	// decoys are all hashes. An unknown name's password is compared with one of
	// them, the same each time, so that the time that takes does not tell which
	// names there are, though their hashes' costs may differ.
	decoys [][]byte
	open   bool // everybody on this host may read the file
}

// readHtpasswd reads a file of users.
func readHtpasswd(file string) (*table, error) {
	return textfile.Patiently(file, func() (*table, error) { return openHtpasswd(file) })
}

func openHtpasswd(file string) (*table, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, err := textfile.All(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	t, err := parseHtpasswd(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	t.open = info.Mode()&0o004 != 0
	return t, nil
}

// parseHtpasswd reads lines "name:hash" as the htpasswd program writes them.
// Empty lines and those that start with "#" mean nothing. Hashes other than
// bcrypt's are refused: they are quick to guess.
func parseHtpasswd(data []byte) (*table, error) {
	t := &table{hashes: make(map[string][]byte)}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, textfile.Max+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, err := parseUser(line)
		if err == nil && t.hashes[name] != nil {
			err = fmt.Errorf("user %q has a line already", name)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		t.hashes[name] = hash
		t.decoys = append(t.decoys, hash)
	}
	if len(t.hashes) == 0 {
		return nil, errNoUsers
	}
	return t, lines.Err()
}

func parseUser(line string) (name string, hash []byte, err error) {
	name, text, ok := strings.Cut(line, ":")
	if !ok || name == "" {
		return "", nil, errors.New("must be NAME:HASH")
	}
	text, _, _ = strings.Cut(text, ":") // further fields are allowed in such files
	if !strings.HasPrefix(text, "$2") || len(text) != hashLen {
		return "", nil, fmt.Errorf("user %q: not a bcrypt hash, as htpasswd -B makes", name)
	}
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil {
		return "", nil, fmt.Errorf("user %q: %w", name, err)
	}
	if cost > maxCost {
		return "", nil, fmt.Errorf("user %q: cost %d, must be at most %d", name, cost, maxCost)
	}
	return name, []byte(text), nil
}
