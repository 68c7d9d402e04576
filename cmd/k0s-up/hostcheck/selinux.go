package hostcheck

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// labelCommands returns the commands that label k0s's data directory, from k0s's
// documentation (docs/selinux.md).
func (f *findings) labelCommands() string {
	return strings.ReplaceAll("semanage fcontext -a -t container_runtime_exec_t 'DATA/bin/containerd.*' && "+
		"semanage fcontext -a -t container_runtime_exec_t DATA/bin/runc && "+
		"semanage fcontext -a -t container_var_lib_t 'DATA/containerd(/.*)?' && "+
		"semanage fcontext -a -t container_ro_file_t 'DATA/containerd/io.containerd.snapshotter.*/snapshots(/.*)?' && "+
		"if [ -e DATA ]; then restorecon -R DATA; fi", "DATA", f.Data)
}

// notExecutable lists the types of files that systemd may not execute under the
// targeted policy. A program moved from a home directory or /tmp keeps its label, and
// its service fails with 203/EXEC.
var notExecutable = []string{"admin_home_t", "user_home_t", "user_home_dir_t", "user_tmp_t", "tmp_t", "var_t", "default_t", "unlabeled_t"}

// selinux finds missing labels and policies. k0s itself runs unconfined.
// docs/selinux.md requires container-selinux and labels on the data directory only
// if containerd has SELinux enabled; otherwise they are a warning.
func (f *findings) selinux() {
	config, _ := f.read(f.Root + "/etc/selinux/config")
	settings := assignments(config)
	text, enabled := f.read(f.Sys + "/fs/selinux/enforce")
	if strings.TrimSpace(text) != "1" {
		state, remedy := "off", "reboot, then run k0s-up again"
		if enabled {
			state, remedy = "permissive", "setenforce 1 # then run k0s-up again"
		}
		if strings.EqualFold(settings["SELINUX"], "enforcing") {
			f.warn("/etc/selinux/config", remedy, "SELinux is %s, but will be enforcing after the next boot", state)
		}
		return
	}
	f.label()
	policy := cmp.Or(settings["SELINUXTYPE"], "targeted")
	inContainerd := f.containerdSELinux()
	found := len(f.glob("/var/lib/selinux/"+policy+"/active/modules/*/container")) > 0
	switch {
	case found:
	case inContainerd:
		f.fail("container-selinux", "dnf install container-selinux", "SELinux is enforcing and enabled in containerd, but the policy for containers is not installed: no container would start")
	default:
		f.warn("container-selinux", "dnf install container-selinux", "SELinux is enforcing, but the policy for containers is not installed")
	}
	if f.labelled(policy) {
		return
	}
	if inContainerd {
		f.fail(f.Data, f.labelCommands(), "SELinux is enabled in containerd, but its programs and images in %s are not labelled: containers could not read their files", f.Data)
		return
	}
	f.warn(f.Data, f.labelCommands(), "SELinux is enforcing, but containerd's programs and images in %s are not labelled", f.Data)
}

// label checks that systemd may execute k0s.
func (f *findings) label() {
	value := make([]byte, 256) // SELinux allows fewer
	n, err := syscall.Getxattr(f.Root+f.K0s, "security.selinux", value)
	context := strings.TrimRight(string(value[:max(n, 0)]), "\x00")
	switch {
	case errors.Is(err, fs.ErrNotExist): // reported elsewhere
	case err != nil:
		f.unknown(f.K0s, err)
	case slices.Contains(notExecutable, typeOf(context)):
		f.fail(f.K0s, "restorecon -v "+f.K0s, "%s has the label %s, with which systemd may not execute it: its service would fail with 203/EXEC", f.K0s, context)
	}
}

// typeOf returns the type of a context, USER:ROLE:TYPE[:LEVEL].
func typeOf(context string) string {
	if parts := strings.SplitN(context, ":", 4); len(parts) >= 3 {
		return parts[2]
	}
	return ""
}

// labelled reports whether the policy has labels for k0s's data directory, its own
// or added by semanage.
func (f *findings) labelled(policy string) bool {
	for _, name := range []string{"file_contexts.local", "file_contexts"} {
		text, exists := f.read(f.Root + "/etc/selinux/" + policy + "/contexts/files/" + name)
		if exists && hasContext(text, f.Data+"/bin/containerd", "container_runtime_exec_t") {
			return true
		}
	}
	return false
}

// hasContext reports whether file_contexts(5) has an entry of a type whose pattern,
// in which dots may be escaped, starts with a path.
func hasContext(text, path, wantType string) bool {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if strings.HasPrefix(strings.ReplaceAll(fields[0], `\`, ""), path) && typeOf(fields[len(fields)-1]) == wantType {
			return true
		}
	}
	return false
}

// containerdSELinux reports whether a drop-in enables SELinux in containerd.
func (f *findings) containerdSELinux() bool {
	for _, path := range f.glob(filepath.Join(f.DropIns, "*.toml")) {
		text, _ := f.read(path)
		if assignments(text)["enable_selinux"] == "true" {
			return true
		}
	}
	return false
}
