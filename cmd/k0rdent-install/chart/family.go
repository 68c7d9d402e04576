package chart

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Families of Linux distributions that machines of child clusters run.
const (
	Debian = "debian"
	RHEL   = "rhel"
)

// Families lists all of them, in the order of cells.
var Families = []string{Debian, RHEL}

// commonCommands are on machines of both families. What matters of them are the files
// that they change; see root.perform.
var commonCommands = strings.Fields(`apparmor_parser awk base64 basename cat chgrp chmod chown cp curl cut date dd df dirname
	echo env expr false find getent grep groupadd head hostname hostnamectl id install ip iptables kill ln logger ls lsmod
	mkdir mktemp modprobe mount mv openssl printf ps readlink rm rmdir sed seq sleep sort stat swapoff sync sysctl
	systemctl tail tar tee test touch tr true umount uname uniq useradd usermod wc which xargs`)

// ownCommands are the commands of one family only.
var ownCommands = map[string][]string{
	Debian: {"add-apt-repository", "apt", "apt-get", "dpkg", "dpkg-reconfigure", "update-ca-certificates", "update-initramfs"},
	RHEL:   {"dnf", "dracut", "firewall-cmd", "restorecon", "rpm", "setenforce", "setsebool", "update-ca-trust", "update-crypto-policies", "yum"},
}

// The directory for authorities that a family's command adds to the bundle that curl
// reads, and the directories that programs in Go read as well (crypto/x509,
// root_linux.go).
var (
	anchors    = map[string]string{Debian: "/usr/local/share/ca-certificates", RHEL: "/etc/pki/ca-trust/source/anchors"}
	rebuilders = map[string]string{Debian: "update-ca-certificates", RHEL: "update-ca-trust"}
	goDirs     = []string{"/etc/ssl/certs", "/etc/pki/tls/certs"}
)

// A root is the simulated file system of a machine: its directories and files, and
// which of the files are the site's authority.
type root struct {
	family  string
	dirs    map[string]bool
	files   map[string]bool // by path: whether it is the authority
	bundle  bool            // the system's bundle contains the authority
	missing []string        // commands that were run and do not exist
	unknown []string        // commands whose effect is unknown

	uncertain bool // a command with an unknown effect was run
}

func newRoot(family string) *root {
	r := &root{family: family, dirs: map[string]bool{}, files: map[string]bool{}}
	for _, dir := range append([]string{anchors[family], "/tmp", "/root", "/opt", "/usr/local/bin", "/var/lib"}, goDirs[0]) {
		r.mkdir(dir)
	}
	if family == RHEL {
		r.mkdir(goDirs[1])
	}
	return r
}

// mkdir creates a directory and its parents.
func (r *root) mkdir(dir string) {
	for ; dir != "/" && dir != "."; dir = path.Dir(dir) {
		r.dirs[dir] = true
	}
}

// write creates a file and its directories, as cloud-init does.
func (r *root) write(name string, authority bool) {
	r.mkdir(path.Dir(name))
	r.files[path.Clean(name)] = authority
}

// trusts reports whether curl, or else programs in Go, trust the authority.
func (r *root) trusts(curl bool) bool {
	if r.bundle || curl {
		return r.bundle
	}
	for name, authority := range r.files {
		if authority && slices.Contains(goDirs, path.Dir(name)) {
			return true
		}
	}
	return false
}

// perform simulates a command and returns its status.
func (r *root) perform(argv []string) int {
	name, args := path.Base(argv[0]), argv[1:]
	switch {
	case name == "sudo":
		for len(args) > 0 && strings.HasPrefix(args[0], "-") {
			args = args[1:]
		}
		if len(args) == 0 {
			return 1
		}
		return r.perform(args)
	case (name == "sh" || name == "bash") && len(args) >= 2 && strings.Trim(args[0], "-eux") == "c":
		status, err := runScript(args[1], r.perform)
		if err != nil {
			panic(syntaxError(err.Error()))
		}
		return status
	case name == "[" || name == "test":
		return r.test(args)
	case name == rebuilders[r.family]:
		for file, authority := range r.files {
			r.bundle = r.bundle || authority && path.Dir(file) == anchors[r.family] && (r.family != Debian || path.Ext(file) == ".crt")
		}
		return 0
	case name == "false":
		return 1
	case name == "cp" || name == "install" || name == "mv" || name == "ln":
		return r.copy(name, args)
	case name == "mkdir":
		for _, a := range args {
			if strings.HasPrefix(a, "/") {
				r.mkdir(path.Clean(a))
			}
		}
		return 0
	case name == "rm":
		for _, a := range args {
			delete(r.files, path.Clean(a))
		}
		return 0
	case slices.Contains(commonCommands, name) || slices.Contains(ownCommands[r.family], name) ||
		slices.Contains([]string{":", "set", "export", "cd", "umask"}, name):
		return 0
	}
	for _, other := range Families {
		if slices.Contains(ownCommands[other], name) {
			r.missing = append(r.missing, name)
			return 127
		}
	}
	r.unknown = append(r.unknown, argv[0])
	return 0
}

// test returns the status of a condition with one operand.
func (r *root) test(args []string) int {
	if n := len(args); n > 0 && args[n-1] == "]" {
		args = args[:n-1]
	}
	if len(args) > 1 && args[0] == "!" {
		return 1 - r.test(args[1:])
	}
	if len(args) != 2 {
		panic(syntaxError(fmt.Sprintf("condition %q is not supported", strings.Join(args, " "))))
	}
	name := path.Clean(args[1])
	_, isFile := r.files[name]
	var met bool
	switch args[0] {
	case "-d":
		met = r.dirs[name]
	case "-f", "-r", "-s":
		met = isFile
	case "-e":
		met = isFile || r.dirs[name]
	case "-n":
		met = args[1] != ""
	case "-z":
		met = args[1] == ""
	default:
		panic(syntaxError(fmt.Sprintf("condition %q is not supported", strings.Join(args, " "))))
	}
	if met {
		return 0
	}
	return 1
}

// copy simulates cp, install, mv and ln for known files.
func (r *root) copy(name string, args []string) int {
	var operands []string
	directories, parents := false, false
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case name == "install" && (a == "-m" || a == "-o" || a == "-g"):
			i++
		case name == "install" && a == "-d":
			directories = true
		case strings.HasPrefix(a, "-"):
			parents = parents || name == "install" && strings.Contains(a, "D")
		default:
			operands = append(operands, a)
		}
	}
	if directories {
		for _, dir := range operands {
			r.mkdir(path.Clean(dir))
		}
		return 0
	}
	if len(operands) < 2 {
		return 1
	}
	to := path.Clean(operands[len(operands)-1])
	for _, from := range operands[:len(operands)-1] {
		authority, known := r.files[path.Clean(from)]
		at := to
		if r.dirs[to] {
			at = path.Join(to, path.Base(from))
		}
		if parents {
			r.mkdir(path.Dir(at))
		}
		if !r.dirs[path.Dir(at)] {
			return 1
		}
		if known || strings.HasPrefix(at, anchors[r.family]) || slices.Contains(goDirs, path.Dir(at)) {
			if !known {
				return 1 // no such certificate
			}
			r.files[at] = authority
		}
		if name == "mv" {
			delete(r.files, path.Clean(from))
		}
	}
	return 0
}
