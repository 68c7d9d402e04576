// Package hostcheck finds what is in the way of k0s on a hardened or unusual
// host: SELinux, fapolicyd, firewalld, mount options, missing kernel modules, low
// limits, proxies, names, and a slow disk.
//
// Checks read the host's files and change nothing. What certainly stops k0s is a
// failure, anything else a warning, and what cannot be read is unknown, which is
// never the same as fine. The reason for each is stated next to it.
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

// Host is the host to check, and what it is to be.
type Host struct {
	Root      string // before every path that is not in Proc or Sys; "" on a real host
	Proc, Sys string

	K0s      string // the program, without Root
	Data     string // directory of k0s, without Root
	DropIns  string // directory of containerd's drop-ins, without Root
	Name     string // as the host itself has it
	Provider string // of the network; "" if not known, as on a worker
	Networks []netip.Prefix
	IPv6     bool     // it needs an address of IPv6 besides one of IPv4
	Ports    []Port   // that other hosts reach
	Internal []string // hosts of the site, HOST[:PORT]

	Addresses []netip.Addr  // of the host's interfaces
	Measure   time.Duration // how long to write to the disk, on which etcd will be; 0 for not at all
	Released  time.Time     // the host's clock cannot be earlier; zero if not known
}

// Port is one that other hosts connect to.
type Port struct {
	Number int
	UDP    bool
}

// String returns the port as firewalld spells it.
func (p Port) String() string {
	if p.UDP {
		return strconv.Itoa(p.Number) + "/udp"
	}
	return strconv.Itoa(p.Number) + "/tcp"
}

// findings collects what the checks of one host find.
type findings struct {
	Host
	list []record.Finding
}

// Check returns what is wrong, in the order of the checks. It makes those that
// ask a server or write to the disk only if they are not among skip.
func (h Host) Check(ctx context.Context, skip []string) []record.Finding {
	f := &findings{Host: h}
	f.selinux()
	f.fapolicyd()
	f.firewalld()
	f.apparmor()
	f.fips()
	f.limits()
	f.mounts()
	f.modules()
	f.swap()
	f.clock()
	f.names()
	f.ipv6()
	f.proxies()
	if !slices.Contains(skip, "dns") {
		f.wildcard(ctx)
	}
	if h.Measure > 0 && !slices.Contains(skip, "latency") {
		f.latency(ctx)
	}
	return f.list
}

func (f *findings) add(check, status, subject, remedy, format string, args ...any) {
	f.list = append(f.list, record.Finding{Check: check, Status: status, Subject: subject, Detail: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (f *findings) fail(check, subject, remedy, format string, args ...any) {
	f.add(check, record.StatusFailed, subject, remedy, format, args...)
}

func (f *findings) warn(check, subject, remedy, format string, args ...any) {
	f.add(check, record.StatusWarning, subject, remedy, format, args...)
}

// unknown reports that a check could not be made.
func (f *findings) unknown(check, subject string, err error) {
	if of, ok := errors.AsType[*fs.PathError](err); ok {
		err = of.Err
	}
	subject = strings.TrimPrefix(subject, f.Root)
	f.add(check, record.StatusUnknown, subject, "", "cannot be checked: %v", err)
}

// maxFile is more than any file has that a check reads.
const maxFile = 16 << 20

// read returns a file of the host, and reports whether there is one. A file that
// exists and cannot be read makes the check unknown.
func (f *findings) read(check, path string) (text string, exists bool) {
	text, err := f.load(check, path)
	return text, err == nil
}

// load is like read, for where a file that does not exist, fs.ErrNotExist, is
// not the same as one that cannot be read.
func (f *findings) load(check, path string) (string, error) {
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return "", fs.ErrNotExist
	}
	if err != nil {
		f.unknown(check, path, err)
	}
	return text, err
}

// readFile reads a file of limited size. Only regular files count: a pipe would
// block.
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

// number returns the number in a file of the kernel. If it has none, the check
// is unknown.
func (f *findings) number(check, path string) (int64, bool) {
	text, err := readFile(path)
	var n int64
	if err == nil {
		n, err = strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if errors.Is(err, strconv.ErrRange) {
			return n, true // as large as it can be
		}
	}
	if err != nil {
		f.unknown(check, path, err)
		return 0, false
	}
	return n, true
}

// glob returns the files that match a pattern below Root, in lexical order.
func (f *findings) glob(pattern string) []string {
	// The only error is of a malformed pattern.
	found, _ := filepath.Glob(f.Root + pattern)
	return found
}

// running reports whether a program of this name runs. It cannot be known
// without /proc.
func (f *findings) running(check, name string) bool {
	entries, err := os.ReadDir(f.Proc)
	if err != nil {
		f.unknown(check, name, err)
		return false
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		// A process that has ended meanwhile has no file.
		comm, err := os.ReadFile(filepath.Join(f.Proc, e.Name(), "comm"))
		if err == nil && strings.TrimSpace(string(comm)) == name {
			return true
		}
	}
	return false
}

// assignments parses lines of NAME=VALUE as in /etc/selinux/config and
// firewalld.conf; blanks around both are ignored, as are comments. The last of
// several counts.
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
