package k0s

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Service is the k0s service in the host's init system.
type Service struct {
	Role string // RoleController or RoleWorker
	Unit string // the file
	args []string
}

// Directories of services, by init system, below the root.
const (
	unitDir = "/etc/systemd/system"
	initDir = "/etc/init.d" // of OpenRC
)

// execLine matches the command with which a unit of systemd or OpenRC starts k0s.
var execLine = regexp.MustCompile(`(?m)^(?:ExecStart=\S+|command_args=["']?)\s*(.*?)["']?\s*$`)

// Installed returns the k0s service of the host whose files are below root, or nil.
// Like k0s, it looks for a controller first.
func Installed(root string) (*Service, error) {
	for _, role := range []string{RoleController, RoleWorker} {
		for _, unit := range []string{filepath.Join(unitDir, "k0s"+role+".service"), filepath.Join(initDir, "k0s"+role)} {
			text, err := os.ReadFile(root + unit)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			s := &Service{Role: role, Unit: root + unit}
			if m := execLine.FindSubmatch(text); m != nil {
				s.args = strings.Fields(string(m[1]))
			}
			return s, nil
		}
	}
	return nil, nil
}

// Value returns the value of one of k0s's flags in the service, under any of the
// flag's names, or "".
func (s *Service) Value(names ...string) string {
	if s == nil {
		return ""
	}
	for i, arg := range s.args {
		name, value, found := strings.Cut(arg, "=")
		if !slices.Contains(names, name) {
			continue
		}
		if !found && i+1 < len(s.args) {
			value = s.args[i+1]
		}
		return strings.Trim(value, `"'`)
	}
	return ""
}

// Has reports whether the service starts k0s with a flag.
func (s *Service) Has(flag string) bool {
	return s != nil && slices.ContainsFunc(s.args, func(arg string) bool {
		name, value, _ := strings.Cut(arg, "=")
		return name == flag && value != "false"
	})
}

// Install installs the service: it runs "k0s install" with these arguments.
func (b Binary) Install(ctx context.Context, args ...string) error {
	_, err := b.run(ctx, servicePatience, nil, append([]string{"install"}, args...)...)
	return err
}

// Start starts the service unless it is running.
func (b Binary) Start(ctx context.Context) error {
	_, err := b.run(ctx, servicePatience, nil, "start")
	if alreadyRunning(err) {
		return nil
	}
	return err
}

// Stop stops the service, if it is installed and running. Running pods continue.
func (b Binary) Stop(ctx context.Context) error {
	_, err := b.run(ctx, servicePatience, nil, "stop")
	if alreadyStopped(err) || notInstalled(err) {
		return nil
	}
	return err
}

// Reset removes the service, all containers and all data of k0s from the host.
func (b Binary) Reset(ctx context.Context) error {
	_, err := b.run(ctx, servicePatience, nil, "reset")
	return err
}

// What k0s prints about its service (k0sproject/k0s, cmd/start/start.go,
// cmd/stop/stop.go and pkg/service).

func alreadyRunning(err error) bool { return printed(err, "already running") }
func alreadyStopped(err error) bool { return printed(err, "already stopped") }
func notInstalled(err error) bool   { return printed(err, "has not been installed as a service") }
