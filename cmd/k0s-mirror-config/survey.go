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

// survey is what was found on the host before anything is written.
type survey struct {
	conflicts  []conflict
	warnings   []string
	oldDropIns []string // names in containerd.d: ours, under another name than today's
	oldHosts   []string // names in certs.d: ours, of registries that are not wanted any more
}

// conflict is a file or directory that is not ours and would undo what is to
// be written, or be undone by it.
type conflict struct{ path, reason string }

func (s *survey) conflict(path, format string, args ...any) {
	s.conflicts = append(s.conflicts, conflict{path, fmt.Sprintf(format, args...)})
}

func (s *survey) warn(format string, args ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}

// survey looks at the host with the eyes of a containerd that has files.
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

// ours tells whether a file is of this program, by its first line.
func ours(content []byte) bool { return bytes.HasPrefix(content, []byte(k0s.Marker)) }

// surveyMain looks at containerd's main configuration, and tells whether it is
// k0s that writes it.
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
	s.warn("%s is not managed by k0s any more (its first line is not %q): drop-ins count only if it imports them; remove it and restart k0s to give it back", file, k0s.ManagedLine)
	settings, reason := readSettings(content, version)
	if reason == "" {
		reason = settings.clash(version)
	}
	if reason == "" && version.Containerd() == 1 && settings.cri {
		reason = keepsOne
	}
	if reason != "" {
		s.conflict(file, "%s", reason)
	}
	return false, nil
}

// keepsOne is what containerd 1 does where k0s does not merge for it.
const keepsOne = "it has settings of the CRI plugin, of which containerd 1 keeps those of one file only"

// surveyDropIns looks at what others have in containerd.d.
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
		if reason == "" {
			reason = settings.clash(version)
		}
		switch {
		case reason != "":
		case today:
			reason = "it is where the drop-in of this program belongs, and is not of this program"
		case settings.cri && version.Containerd() == 1 && !managed:
			reason = keepsOne
		case settings.cri && version.Containerd() == 1:
			s.warn("%s is somebody else's and has settings of the CRI plugin: this k0s merges them with ours, a containerd 1 by itself would forget one or the other", file)
		}
		if reason != "" {
			s.conflict(file, "%s", reason)
		}
	}
	return nil
}

// surveyHosts looks at the directories of registries.
func (t *tool) surveyHosts(s *survey, wanted map[string][]k0s.File, mirrors []k0s.Mirror) error {
	names, err := listNames(t.at(k0s.CertsDir))
	if err != nil {
		return err
	}
	for _, name := range names {
		dir := path.Join(k0s.CertsDir, name)
		if strings.HasPrefix(name, ".") {
			continue // no registry's name
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
			s.conflict(t.at(dir), "it is a symbolic link")
		case info.IsDir() || info.Mode()&fs.ModeSymlink != 0:
			if err := t.surveyHost(s, name, wanted[dir] != nil, files != nil, mirrors); err != nil {
				return err
			}
		}
	}
	return nil
}

// spelt gives HOST:PORT for the other way to write the name of its directory,
// HOST_PORT_, which containerd looks for first.
func spelt(name string) string {
	host, found := strings.CutSuffix(name, "_")
	if at := strings.LastIndexByte(host, '_'); found && at > 0 {
		return host[:at] + ":" + host[at+1:]
	}
	return name
}

// surveyHost looks at the directory of one registry. wanted says that there is
// to be such a directory, concerned that it is about one that there is to be.
func (t *tool) surveyHost(s *survey, name string, wanted, concerned bool, mirrors []k0s.Mirror) error {
	dir := t.at(path.Join(k0s.CertsDir, name))
	content, err := hostfile.Read(path.Join(dir, k0s.HostsName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if wanted && isEmpty(dir) {
			return nil // it is filled
		}
		s.conflict(dir, "there is no %s in it, which sends pulls to the registry itself", k0s.HostsName)
		return nil
	case err != nil:
		return err
	case !ours(content) && concerned:
		s.conflict(path.Join(dir, k0s.HostsName), "it is somebody else's and comes before that of this program")
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
			s.conflict(path.Join(dir, file), "it is somebody else's in a directory that is to be removed")
			return nil
		}
	}
	s.oldHosts = append(s.oldHosts, name)
	return nil
}

// surveyForeign looks at the hosts.toml of a registry that is not among ours:
// one that the site has besides, perhaps.
func (t *tool) surveyForeign(s *survey, file, name string, content []byte, mirrors []k0s.Mirror) {
	h, err := k0s.ReadHosts(content)
	if err != nil {
		s.conflict(file, "containerd ignores it, which sends pulls to the registry itself: %v", err)
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
		s.warn("%s is somebody else's: images of %s that the mirror lacks do not end there, since its server is not the mirror", file, name)
	default:
		s.warn("%s is somebody else's: images of %s do not come from the mirror", file, name)
	}
}
