package hostcheck

import (
	"errors"
	"path"
	"slices"
	"strings"
)

// mount is a line of /proc/self/mountinfo, see proc_pid_mountinfo(5).
type mount struct {
	point   string
	options []string // of the mount and of its file system
}

var errMountinfo = errors.New("not the format of mountinfo")

// parseMounts parses mountinfo.
func parseMounts(text string) ([]mount, error) {
	var all []mount
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		dash := slices.Index(fields, "-")
		if dash < 6 || len(fields) < dash+3 || !strings.HasPrefix(fields[4], "/") {
			return nil, errMountinfo
		}
		all = append(all, mount{
			point:   path.Clean(unescape(fields[4])),
			options: slices.Concat(strings.Split(fields[5], ","), strings.Split(fields[len(fields)-1], ",")),
		})
	}
	if len(all) == 0 {
		return nil, errMountinfo
	}
	return all, nil
}

// unescape replaces the escapes of the kernel's tables (fs/proc_namespace.c, mangle).
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#").Replace

// mountOf returns the mount that a path is on: the last one mounted at the deepest
// mount point.
func mountOf(all []mount, of string) (found mount) {
	for _, m := range all {
		if within(m.point, of) && len(m.point) >= len(found.point) {
			found = m
		}
	}
	return found
}

// within reports whether a path is a directory or is below it.
func within(dir, of string) bool {
	return dir == of || strings.HasPrefix(of, strings.TrimSuffix(dir, "/")+"/")
}

// mounts finds mount options under which k0s cannot run. With noexec, k0s, the
// programs that it unpacks to its data directory and the network plugins do not
// start (as in k3s-io/k3s#7372). CIS and STIG require nodev for /var: it only breaks
// device nodes in volumes, since containers have their own /dev.
func (f *findings) mounts() {
	file := f.Proc + "/self/mountinfo"
	text, err := readFile(file)
	var all []mount
	if err == nil {
		all, err = parseMounts(text)
	}
	if err != nil {
		f.unknown(file, err)
		return
	}
	for _, dir := range []struct {
		path, what string
		exec       bool
	}{
		{path.Dir(f.K0s), "k0s cannot be started", true},
		{f.Data, "k0s cannot start the programs that it unpacks there", true},
		{"/opt/cni/bin", "containerd cannot start the network plugins there, so pods have no network", true},
		{"/etc/k0s", "k0s.yaml cannot be written", false},
	} {
		m := mountOf(all, path.Clean(f.Root+dir.path))
		remount := func(option string) string {
			return "mount -o remount," + option + " " + m.point + ", and change it in /etc/fstab"
		}
		switch {
		case dir.exec && slices.Contains(m.options, "noexec"):
			f.fail(dir.path, remount("exec"), "%s is mounted with noexec on %s: %s", dir.path, m.point, dir.what)
		case slices.Contains(m.options, "ro") && dir.path != path.Dir(f.K0s):
			f.fail(dir.path, remount("rw"), "%s is mounted read-only on %s: %s", dir.path, m.point, dir.what)
		case dir.path == f.Data && slices.Contains(m.options, "nodev"):
			f.warn(dir.path, remount("dev"), "%s is mounted with nodev on %s: volumes that are block devices do not work", dir.path, m.point)
		}
	}
}
