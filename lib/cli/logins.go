package cli

import (
	"fmt"
	"os"
	"path/filepath"
)

// LoginFile is a file in which another program may have stored a registry's
// login.
type LoginFile struct {
	Path  string
	Named string // the variable that names it, in which case it must exist; may be empty
}

// LoginFiles returns the files in which podman, skopeo and docker keep logins,
// in the order of containers-auth.json(5), the one that a variable names first.
func LoginFiles() []LoginFile {
	var all []LoginFile
	if path := os.Getenv("REGISTRY_AUTH_FILE"); path != "" {
		all = append(all, LoginFile{path, "REGISTRY_AUTH_FILE"})
	}
	add := func(dir, file string) {
		if dir != "" {
			all = append(all, LoginFile{Path: filepath.Join(dir, file)})
		}
	}
	home, _ := os.UserHomeDir()
	dir := func(variable, inHome string) string {
		if set := os.Getenv(variable); set != "" || home == "" || inHome == "" {
			return set
		}
		return filepath.Join(home, inHome)
	}
	runtime := dir("XDG_RUNTIME_DIR", "")
	if uid := os.Getuid(); runtime == "" && uid >= 0 { // which Windows does not have
		add(fmt.Sprintf("/run/containers/%d", uid), "auth.json")
	}
	add(runtime, "containers/auth.json")
	add(dir("XDG_CONFIG_HOME", ".config"), "containers/auth.json")
	add(dir("DOCKER_CONFIG", ".docker"), "config.json")
	return all
}
