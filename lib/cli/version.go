package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release and commit are set at link time (-X), release by a release build only;
// otherwise they come from the build information.
var release, commit string

// Version returns the version, the revision it was built from, the toolchain
// and the platform, on one line.
func Version() string {
	version, revision := build()
	return fmt.Sprintf("%s%s %s %s/%s", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// Agent returns a tool's User-Agent: NAME/VERSION.
func Agent(tool string) string {
	version, _ := build()
	return tool + "/" + version
}

func build() (version, revision string) {
	version, revision = release, commit
	if info, ok := debug.ReadBuildInfo(); ok {
		if version == "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 && commit == "" {
				revision = s.Value[:12]
			}
		}
	}
	if version == "" || version == "(devel)" {
		version = "devel"
	}
	if revision != "" {
		revision = " " + revision
	}
	return version, revision
}
