package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
)

// survey is the state of the host before anything is written.
type survey struct {
	conflicts  []conflict
	warnings   []string
	oldDropIns []string // names in containerd.d: ours, under an earlier name
	oldHosts   []string // names in certs.d: ours, for registries that are no longer wanted
}

// conflict is a file or directory that is not ours and contradicts the files to
// be written.
type conflict struct{ path, reason string }

func (s *survey) conflict(path, format string, args ...any) {
	s.conflicts = append(s.conflicts, conflict{path, fmt.Sprintf(format, args...)})
}

func (s *survey) warn(format string, args ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}

// survey examines the host as containerd would see it with these files.
func (t *tool) survey(version k0s.Version, mirrors []k0s.Mirror, files []k0s.File) (*survey, error) {
	s := new(survey)
	managed, err := t.surveyMain(s, version)
	if err != nil {
		return nil, err
	}
	if err := t.surveyDropIns(s, version, managed); err != nil {
		return nil, err
	}
	dirs, _ := byDirectory(files[:len(files)-1])
	return s, t.surveyHosts(s, dirs, mirrors)
}

// ours reports whether a file was written by this program, by its first line.
func ours(content []byte) bool { return bytes.HasPrefix(content, []byte(k0s.Marker)) }

// surveyMain checks containerd's main configuration, and reports whether k0s
// writes it.
func (t *tool) surveyMain(s *survey, version k0s.Version) (managed bool, err error) {
	file := t.at(k0s.ContainerdConfig)
	content, err := hostfile.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // it will be
	}
	if err != nil {
		return false, err
	}
	first, _, _ := strings.Cut(strings.TrimLeft(string(content), "\n"), "\n")
	if strings.TrimSpace(first) == k0s.ManagedLine {
		return true, nil
	}
	s.warn("%s is no longer managed by k0s (its first line is not %q): drop-ins have no effect unless it imports them; to let k0s manage it, remove it and restart k0s", file, k0s.ManagedLine)
	settings, reason := readSettings(content, version)
	if reason == "" && version.Containerd() == 1 && settings.cri {
		reason = keepsOne
	}
	if reason != "" {
		s.conflict(file, "%s", reason)
	}
	return false, nil
}

// keepsOne describes what containerd 1 does if k0s does not merge files for it.
const keepsOne = "has settings of the CRI plugin, which containerd 1 reads from only one file"

// surveyDropIns checks files of others in containerd.d.
func (t *tool) surveyDropIns(s *survey, version k0s.Version, managed bool) error {
	names, err := listNames(t.at(k0s.DropInDir))
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".toml") {
			continue
		}
		file := t.at(path.Join(k0s.DropInDir, name))
		content, err := hostfile.Read(file)
		if err != nil {
			return err
		}
		today := name == path.Base(k0s.DropInPath)
		if ours(content) {
			if !today {
				s.oldDropIns = append(s.oldDropIns, name)
			}
			continue
		}
		settings, reason := readSettings(content, version)
		switch {
		case reason != "":
		case today:
			reason = "not written by this program, but has the name of its drop-in"
		case settings.cri && version.Containerd() == 1 && !managed:
			reason = keepsOne
		case settings.cri && version.Containerd() == 1:
			s.warn("%s was not written by this program and has settings of the CRI plugin: this k0s merges them with ours, but containerd 1 alone would ignore one of the files", file)
		}
		if reason != "" {
			s.conflict(file, "%s", reason)
		}
	}
	return nil
}

// surveyHosts checks the directories of registries.
func (t *tool) surveyHosts(s *survey, wanted map[string][]k0s.File, mirrors []k0s.Mirror) error {
	names, err := listNames(t.at(k0s.CertsDir))
	if err != nil {
		return err
	}
	for _, name := range names {
		dir := path.Join(k0s.CertsDir, name)
		if strings.HasPrefix(name, ".") {
			continue // not the name of a registry
		}
		info, err := os.Lstat(t.at(dir))
		if err != nil {
			return err
		}
		files := wanted[dir]
		if files == nil {
			files = wanted[path.Join(k0s.CertsDir, spelt(name))]
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0 && files != nil:
			s.conflict(t.at(dir), "is a symbolic link")
		case info.IsDir() || info.Mode()&fs.ModeSymlink != 0:
			if err := t.surveyHost(s, name, wanted[dir] != nil, files != nil, mirrors); err != nil {
				return err
			}
		}
	}
	return nil
}

// spelt returns HOST:PORT for the alternative name of its directory,
// HOST_PORT_, which containerd tries first.
func spelt(name string) string {
	host, found := strings.CutSuffix(name, "_")
	if at := strings.LastIndexByte(host, '_'); found && at > 0 {
		return host[:at] + ":" + host[at+1:]
	}
	return name
}

// surveyHost checks the directory of one registry. wanted means that such a
// directory will be written, concerned that it applies to one that will be.
func (t *tool) surveyHost(s *survey, name string, wanted, concerned bool, mirrors []k0s.Mirror) error {
	dir := t.at(path.Join(k0s.CertsDir, name))
	content, err := hostfile.Read(path.Join(dir, k0s.HostsName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if wanted && isEmpty(dir) {
			return nil // it will be filled
		}
		s.conflict(dir, "has no %s, so pulls go to the registry itself", k0s.HostsName)
		return nil
	case err != nil:
		return err
	case !ours(content) && concerned:
		s.conflict(path.Join(dir, k0s.HostsName), "not written by this program, and takes precedence over its file")
		return nil
	case !ours(content):
		t.surveyForeign(s, path.Join(dir, k0s.HostsName), name, content, mirrors)
		return nil
	case wanted:
		return nil
	}
	names, err := listNames(dir)
	if err != nil {
		return err
	}
	for _, file := range names {
		if !isOurName(file) {
			s.conflict(path.Join(dir, file), "not written by this program, but in a directory that must be removed")
			return nil
		}
	}
	s.oldHosts = append(s.oldHosts, name)
	return nil
}

// surveyForeign checks the hosts.toml of a registry that is not among ours,
// such as another one of the site.
func (t *tool) surveyForeign(s *survey, file, name string, content []byte, mirrors []k0s.Mirror) {
	h, err := k0s.ReadHosts(content)
	if err != nil {
		s.conflict(file, "containerd ignores it, so pulls go to the registry itself: %v", err)
		return
	}
	inward := func(e k0s.Entry) bool {
		_, rest, _ := strings.Cut(e.URL, "://")
		host, _, _ := strings.Cut(rest, "/")
		return slices.ContainsFunc(mirrors, func(m k0s.Mirror) bool { return host == m.Host })
	}
	switch {
	case inward(h.Server):
	case slices.ContainsFunc(h.Hosts, inward):
		s.warn("%s was not written by this program: for images of %s that the mirror lacks, containerd contacts its server, which is not the mirror", file, name)
	default:
		s.warn("%s was not written by this program: images of %s do not come from the mirror", file, name)
	}
}
