package hostcheck

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// labelCommands are those of k0s's documentation (docs/selinux.md) for its data
// directory.
func (f *findings) labelCommands() string {
	at := f.Data
	return strings.Join([]string{
		"semanage fcontext -a -t container_runtime_exec_t '" + at + "/bin/containerd.*'",
		"semanage fcontext -a -t container_runtime_exec_t " + at + "/bin/runc",
		"semanage fcontext -a -t container_var_lib_t '" + at + "/containerd(/.*)?'",
		"semanage fcontext -a -t container_ro_file_t '" + at + "/containerd/io.containerd.snapshotter.*/snapshots(/.*)?'",
		"if [ -e " + at + " ]; then restorecon -R " + at + "; fi",
	}, " && ")
}

// noEntry are the types of files that systemd may not execute under the targeted
// policy: a program that was moved from a home directory or /tmp keeps its label,
// and its service ends with 203/EXEC.
var noEntry = []string{"admin_home_t", "user_home_t", "user_home_dir_t", "user_tmp_t", "tmp_t", "var_t", "default_t", "unlabeled_t"}

// selinux finds labels and policies that are missing. k0s itself runs unconfined;
// docs/selinux.md asks for container-selinux and for the labels of its data
// directory only where containerd has SELinux enabled, so without that they are
// a warning.
func (f *findings) selinux() {
	const check = "selinux"
	config, configured := f.read(check, f.Root+"/etc/selinux/config")
	settings := assignments(config)
	text, enabled := f.read(check, f.Sys+"/fs/selinux/enforce")
	if !enabled {
		if mode := strings.ToLower(settings["SELINUX"]); configured && mode == "enforcing" {
			f.warn(check, "/etc/selinux/config", "reboot, and check again", "SELinux is off, and will be enforcing after the next boot")
		}
		return
	}
	if strings.TrimSpace(text) != "1" {
		if strings.ToLower(settings["SELINUX"]) == "enforcing" {
			f.warn(check, "/etc/selinux/config", "setenforce 1, and check again", "SELinux is permissive now, and will be enforcing after the next boot")
		}
		return
	}
	f.label()
	policy := settings["SELINUXTYPE"]
	if policy == "" {
		policy = "targeted"
	}
	inContainerd := f.containerdSELinux()
	found := len(f.glob("/var/lib/selinux/"+policy+"/active/modules/*/container")) > 0
	switch {
	case found:
	case inContainerd:
		f.fail(check, "container-selinux", "dnf install container-selinux", "SELinux is enforcing and enabled in containerd, and the policy of containers is not installed: no container would start")
	default:
		f.warn(check, "container-selinux", "dnf install container-selinux", "SELinux is enforcing, and the policy of containers is not installed")
	}
	if f.labelled(policy) {
		return
	}
	if inContainerd {
		f.fail(check, f.Data, f.labelCommands(), "SELinux is enabled in containerd, and %s has no labels for its programs and images: containers could not read their files", f.Data)
		return
	}
	f.warn(check, f.Data, f.labelCommands(), "SELinux is enforcing, and %s has no labels for containerd's programs and images", f.Data)
}

// label checks that systemd may execute k0s.
func (f *findings) label() {
	const check = "selinux"
	context, err := fileLabel(f.Root + f.K0s)
	switch {
	case errors.Is(err, fs.ErrNotExist): // reported elsewhere
	case err != nil:
		f.unknown(check, f.K0s, err)
	case slices.Contains(noEntry, typeOf(context)):
		f.fail(check, f.K0s, "restorecon -v "+f.K0s, "%s has the label %s, which systemd may not execute: its service would end with 203/EXEC", f.K0s, context)
	}
}

// typeOf returns the type of a context, USER:ROLE:TYPE[:LEVEL].
func typeOf(context string) string {
	if parts := strings.SplitN(context, ":", 4); len(parts) >= 3 {
		return parts[2]
	}
	return ""
}

// fileLabel returns the label of a file.
func fileLabel(path string) (string, error) {
	value := make([]byte, 256) // what SELinux itself allows for is less
	n, err := syscall.Getxattr(path, "security.selinux", value)
	if err != nil {
		return "", &os.PathError{Op: "getxattr", Path: path, Err: err}
	}
	return strings.TrimRight(string(value[:n]), "\x00"), nil
}

// labelled reports whether the policy has labels for k0s's data directory: its
// own, or those that semanage adds.
func (f *findings) labelled(policy string) bool {
	for _, name := range []string{"file_contexts.local", "file_contexts"} {
		text, exists := f.read("selinux", f.Root+"/etc/selinux/"+policy+"/contexts/files/"+name)
		if exists && hasContext(text, f.Data+"/bin/containerd", "container_runtime_exec_t") {
			return true
		}
	}
	return false
}

// hasContext reports whether a file_contexts(5) has an entry that starts with a
// path, of a type. Dots may be escaped there.
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
		text, _ := f.read("selinux", path)
		if assignments(text)["enable_selinux"] == "true" {
			return true
		}
	}
	return false
}
