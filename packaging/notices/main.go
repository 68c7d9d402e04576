// Command notices writes the licences of all modules linked into the given Go
// binaries to standard output; most licences require this for distribution. It
// reads the module cache that they were built from.
//
//	notices BINARY…
package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	modules, err := linked(os.Args[1:])
	if err == nil {
		err = write(os.Stdout, modules)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

// linked lists the modules in the binaries, as "path@version" in order.
func linked(binaries []string) ([]string, error) {
	var modules []string
	for _, path := range binaries {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			modules = append(modules, m.Path+"@"+m.Version)
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules), nil
}

func write(w io.Writer, modules []string) error {
	dirs, err := directories(modules)
	if err != nil {
		return err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	if err := section(w, "Go", strings.TrimSpace(string(root))); err != nil {
		return err
	}
	for _, m := range modules {
		if err := section(w, m, dirs[m]); err != nil {
			return err
		}
	}
	return nil
}

// directories returns the directory of each module in the module cache.
func directories(modules []string) (map[string]string, error) {
	out, err := exec.Command("go", append([]string{"mod", "download", "-json"}, modules...)...).Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("go mod download: %s", failed.Stderr)
	} else if err != nil {
		return nil, err
	}
	dirs := make(map[string]string)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var m struct{ Path, Version, Dir string }
		if err := dec.Decode(&m); err == io.EOF {
			return dirs, nil
		} else if err != nil {
			return nil, err
		}
		dirs[m.Path+"@"+m.Version] = m.Dir
	}
}

// legal matches the names of files that contain a licence.
var legal = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying|copyright|notice|patents)([-._].*)?$`)

// section writes the licence files at the root of a module.
func section(w io.Writer, name, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := false
	for _, e := range entries {
		if !e.Type().IsRegular() || !legal.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		found = true
		if _, err := fmt.Fprintf(w, "==== %s: %s\n\n%s\n\n", name, e.Name(), bytes.TrimSpace(text)); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("%s has no licence at its root", name)
	}
	return nil
}
