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
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); runtime != "" {
		all = append(all, LoginFile{Path: filepath.Join(runtime, "containers/auth.json")})
	} else if uid := os.Getuid(); uid >= 0 { // which Windows does not have
		all = append(all, LoginFile{Path: fmt.Sprintf("/run/containers/%d/auth.json", uid)})
	}
	home, _ := os.UserHomeDir()
	config := os.Getenv("XDG_CONFIG_HOME")
	if config == "" && home != "" {
		config = filepath.Join(home, ".config")
	}
	if config != "" {
		all = append(all, LoginFile{Path: filepath.Join(config, "containers/auth.json")})
	}
	docker := os.Getenv("DOCKER_CONFIG")
	if docker == "" && home != "" {
		docker = filepath.Join(home, ".docker")
	}
	if docker != "" {
		all = append(all, LoginFile{Path: filepath.Join(docker, "config.json")})
	}
	return all
}
