package hostcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// executable reports whether rules of fapolicyd.rules(5) let root execute a path. The
// first rule that applies decides; without one, the daemon allows it. Malformed lines are
// skipped: the daemon would not be running with any.
func executable(rules, path string, trusted bool) bool {
	for line := range strings.Lines(rules) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		decision, _, _ := strings.Cut(fields[0], "_")
		if (decision == "allow" || decision == "deny") && applies(fields[1:], path, trusted) {
			return decision == "allow"
		}
	}
	return true
}

// applies reports whether a rule applies to every execution of a path by root. A
// rule with any condition other than trust does not.
func applies(rule []string, path string, trusted bool) bool {
	permission, object, matched := "open", false, false
	for _, field := range rule {
		name, value, _ := strings.Cut(field, "=")
		switch {
		case name == "perm":
			permission = value
		case field == ":":
			object = true
		case field == "all":
			matched = object
		case !object && field == "uid=0":
		case object && (field == "trust=1" && trusted || name == "path" && value == path || name == "dir" && within(value, path)):
			matched = true
		default:
			return false
		}
	}
	return matched && (permission == "execute" || permission == "any")
}

// trustedFiles parses fapolicyd.trust(5) into sizes by path. A line holds a path,
// which may contain blanks, a size and a digest.
func trustedFiles(text string) map[string]int64 {
	found := make(map[string]int64)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 3 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		size, err := strconv.ParseInt(fields[len(fields)-2], 10, 64)
		if err == nil {
			found[strings.Join(fields[:len(fields)-2], " ")] = size
		}
	}
	return found
}

// fapolicyd finds that fapolicyd is running and would block k0s's programs, which
// are not trusted since they do not come from a package. k0s would then fail with
// "fork/exec ...: operation not permitted" (rancher/rke2#2848, k3s-io/k3s#9008).
func (f *findings) fapolicyd() {
	if !f.running("fapolicyd") {
		return
	}
	config, _ := f.read(f.Root + "/etc/fapolicyd/fapolicyd.conf")
	if assignments(config)["permissive"] == "1" {
		return
	}
	rules, err := f.rules()
	if errors.Is(err, fs.ErrNotExist) {
		f.unknown("/etc/fapolicyd", err)
	}
	if err != nil {
		return
	}
	trusted := make(map[string]int64)
	for _, path := range append(f.glob("/etc/fapolicyd/trust.d/*"), f.Root+"/etc/fapolicyd/fapolicyd.trust") {
		text, _ := f.read(path)
		for name, size := range trustedFiles(text) {
			trusted[name] = size
		}
	}
	for _, path := range []string{f.K0s, f.Data + "/bin/containerd", "/opt/cni/bin/bridge"} {
		size, listed := trusted[path]
		if info, err := os.Stat(f.Root + path); err == nil && info.Size() != size {
			listed = false // it is not the version that is trusted
		}
		if executable(rules, path, listed) {
			continue
		}
		f.fail(path, f.allowCommand(), "fapolicyd is running and has no rule that allows executing %s", path)
		return
	}
}

// rules returns the rules in the order in which the daemon applies them: from the
// file that fagenrules compiles, from the one of old versions, or from rules.d.
func (f *findings) rules() (string, error) {
	const dir = "/etc/fapolicyd/"
	for _, name := range []string{"compiled.rules", "fapolicyd.rules"} {
		if text, err := f.load(f.Root + dir + name); !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
	}
	all := ""
	failed := error(fs.ErrNotExist)
	for _, path := range f.glob(dir + "rules.d/*.rules") {
		text, err := f.load(path)
		if err != nil {
			return "", err
		}
		all, failed = all+text+"\n", nil
	}
	return all, failed
}

// allowCommand returns a command that adds rules before those that deny, as RKE2's
// packages do (rancher/rke2#3416).
func (f *findings) allowCommand() string {
	lines := "allow perm=any all : path=" + f.K0s
	for _, dir := range []string{f.Data, "/opt/cni", "/run/k0s"} {
		lines += `\nallow perm=any all : dir=` + dir + "/"
	}
	return fmt.Sprintf(`printf '%s\n' >/etc/fapolicyd/rules.d/30-k0s.rules && fagenrules --load && systemctl restart fapolicyd`, lines)
}
