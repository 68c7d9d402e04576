package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"k0rdent-airgap/lib/textfile"
)

const (
	// maxCost bounds the cost of a hash: 15 takes about two seconds, and each
	// further step doubles that.
	maxCost = 15
	// hashLen is the length of every bcrypt hash, as text.
	hashLen = 60
)

var errNoUsers = errors.New("no users in it")

// table is the content of a file of users.
type table struct {
	hashes map[string][]byte
	// decoys are all hashes. The password of an unknown name is compared with one
	// of them, always the same, so that the response time does not reveal which
	// names exist, even if the costs of their hashes differ.
	decoys [][]byte
	open   bool // the file is readable by others
}

// readHtpasswd reads a file of users.
func readHtpasswd(file string) (*table, error) {
	text, err := textfile.Read(file)
	if err != nil {
		return nil, err
	}
	t, err := parseHtpasswd(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	info, err := os.Stat(file)
	t.open = err == nil && info.Mode()&0o004 != 0
	return t, nil
}

// parseHtpasswd reads lines "name:hash" as the htpasswd program writes them.
// Empty lines and lines that start with "#" are ignored. Hashes other than
// bcrypt's are refused, since their passwords are quick to guess.
func parseHtpasswd(data []byte) (*table, error) {
	t := &table{hashes: make(map[string][]byte)}
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, err := parseUser(line)
		if err == nil && t.hashes[name] != nil {
			err = fmt.Errorf("user %q has two lines", name)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		t.hashes[name] = hash
		t.decoys = append(t.decoys, hash)
	}
	if len(t.hashes) == 0 {
		return nil, errNoUsers
	}
	return t, nil
}

func parseUser(line string) (name string, hash []byte, err error) {
	name, text, ok := strings.Cut(line, ":")
	if !ok || name == "" {
		return "", nil, errors.New("must be NAME:HASH")
	}
	text, _, _ = strings.Cut(text, ":") // further fields are allowed in such files
	if !strings.HasPrefix(text, "$2") || len(text) != hashLen {
		return "", nil, fmt.Errorf("user %q: not a bcrypt hash, as --passwd writes", name)
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
