// Package hostcheck finds what stops or hampers k0s on a hardened or unusual host:
// SELinux, fapolicyd, firewalld, mount options, missing kernel modules, low limits,
// proxies, names, and a slow disk.
//
// Checks read the host's files and change nothing. A problem that certainly stops
// k0s is a failure, any other a warning. A check that cannot read what it needs is
// unknown, and never counts as passed. The reason for each is stated next to it.
package hostcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k0rdent-airgap/lib/record"
)

// Host is the host to check, and the role it will have.
type Host struct {
	Root      string // prefix of every path outside Proc and Sys; "" on a real host
	Proc, Sys string

	K0s      string // the program, without Root
	Data     string // directory of k0s, without Root
	DropIns  string // directory of containerd's drop-ins, without Root
	Name     string // the host name
	Provider string // of the network; "" if unknown, as on a worker
	Networks []netip.Prefix
	IPv6     bool     // whether it needs an IPv6 address besides the IPv4 one
	Ports    []Port   // that other hosts connect to
	Internal []string // hosts of the site, HOST[:PORT]

	Addresses []netip.Addr  // of the host's interfaces
	Measure   time.Duration // how long to measure the latency of etcd's disk; 0 skips it
	Released  time.Time     // a time that the host's clock cannot precede; zero if unknown
}

// Port is a port that other hosts connect to.
type Port struct {
	Number   int
	Protocol string // tcp or udp
}

// String returns the port as firewalld spells it.
func (p Port) String() string { return strconv.Itoa(p.Number) + "/" + p.Protocol }

// findings collects the findings for a host.
type findings struct {
	Host
	check string // the one that runs
	list  []record.Finding
}

// Check returns the problems found, in the order of the checks. It skips the checks
// in skip that query a server or write to the disk.
func (h Host) Check(ctx context.Context, skip []string) []record.Finding {
	f := &findings{Host: h}
	for _, c := range []struct {
		name   string
		run    func()
		costly bool
	}{
		{name: "selinux", run: f.selinux}, {name: "fapolicyd", run: f.fapolicyd}, {name: "firewalld", run: f.firewalld},
		{name: "apparmor", run: f.apparmor}, {name: "fips", run: f.fips}, {name: "inotify", run: f.inotify}, {name: "files", run: f.files},
		{name: "mounts", run: f.mounts}, {name: "modules", run: f.modules}, {name: "swap", run: f.swap}, {name: "time", run: f.clock},
		{name: "name", run: f.name}, {name: "hosts", run: f.hosts}, {name: "ipv6", run: f.ipv6}, {name: "proxy", run: f.proxies},
		{"dns", func() { f.wildcard(ctx) }, true}, {"latency", func() { f.latency(ctx) }, true},
	} {
		if f.check = c.name; !c.costly || !slices.Contains(skip, c.name) {
			c.run()
		}
	}
	return f.list
}

func (f *findings) add(status, subject, remedy, format string, args ...any) {
	f.list = append(f.list, record.Finding{Check: f.check, Status: status, Subject: subject, Detail: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (f *findings) fail(subject, remedy, format string, args ...any) {
	f.add(record.StatusFailed, subject, remedy, format, args...)
}

func (f *findings) warn(subject, remedy, format string, args ...any) {
	f.add(record.StatusWarning, subject, remedy, format, args...)
}

// unknown reports that the check could not be made.
func (f *findings) unknown(subject string, err error) {
	if of, ok := errors.AsType[*fs.PathError](err); ok {
		err = of.Err
	}
	f.add(record.StatusUnknown, strings.TrimPrefix(subject, f.Root), "", "cannot be checked: %v", err)
}

// maxFile bounds the size of a file that a check reads.
const maxFile = 16 << 20

// read returns the text of a file, and whether it could be read. A file that exists
// and cannot be read makes the check unknown.
func (f *findings) read(path string) (text string, exists bool) {
	text, err := f.load(path)
	return text, err == nil
}

// load is like read, but its error distinguishes a file that does not exist
// (fs.ErrNotExist) from one that cannot be read.
func (f *findings) load(path string) (string, error) {
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return "", fs.ErrNotExist
	}
	if err != nil {
		f.unknown(path, err)
	}
	return text, err
}

// readFile reads a regular file of limited size. Reading a pipe would block.
func readFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("too large")}
	}
	return string(text), err
}

// number returns the number in a file of the kernel, and whether it has one. If it
// has none, the check is unknown.
func (f *findings) number(path string) (int64, bool) {
	text, err := readFile(path)
	var n int64
	if err == nil {
		n, err = strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if errors.Is(err, strconv.ErrRange) {
			return n, true // the largest int64
		}
	}
	if err != nil {
		f.unknown(path, err)
		return 0, false
	}
	return n, true
}

// glob returns the files that match a pattern below Root, in lexical order.
func (f *findings) glob(pattern string) []string {
	// The only possible error is a malformed pattern.
	found, _ := filepath.Glob(f.Root + pattern)
	return found
}

// running reports whether a program of this name is running. Without /proc, the
// check is unknown.
func (f *findings) running(name string) bool {
	entries, err := os.ReadDir(f.Proc)
	if err != nil {
		f.unknown(name, err)
		return false
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		// The file is missing if the process has ended meanwhile.
		comm, err := os.ReadFile(filepath.Join(f.Proc, e.Name(), "comm"))
		if err == nil && strings.TrimSpace(string(comm)) == name {
			return true
		}
	}
	return false
}

// assignments parses lines of NAME=VALUE as in /etc/selinux/config and
// firewalld.conf, without comments and surrounding blanks. The last assignment to a
// name wins.
func assignments(text string) map[string]string {
	found := make(map[string]string)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			found[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return found
}
