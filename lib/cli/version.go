package cli

import (
	"crypto/fips140"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// release and commit are set at link time (-X), release by a release build only;
// otherwise they come from the build information.
var release, commit string

// Version returns the version, the revision it was built from, the toolchain,
// the platform and the FIPS 140-3 module of a build with one, on one line.
func Version() string {
	version, revision := build()
	line := fmt.Sprintf("%s%s %s %s/%s", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if info, ok := debug.ReadBuildInfo(); ok {
		line += module(info.Settings)
	}
	return line
}

// Approved returns misuse where GODEBUG=fips140=only is set, for what is computed
// outside the FIPS 140-3 module, as the error calls it. instead says what to use.
func Approved(what, instead string) error {
	if !fips140.Enforced() {
		return nil
	}
	return Hint(Misuse("%s is not part of the FIPS 140-3 module, which GODEBUG=fips140=only requires", what), "%s, or set GODEBUG=fips140=on", instead)
}

// module returns the FIPS 140-3 module that a build has selected, and whether
// it is in use: GODEBUG can turn it off.
func module(settings []debug.BuildSetting) string {
	for _, s := range settings {
		switch {
		case s.Key != "GOFIPS140" || s.Value == "off":
		case fips140.Enabled():
			return " fips140=" + s.Value
		default:
			return " fips140=" + s.Value + " (off)"
		}
	}
	return ""
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
	// A pseudo-version consists of the commit and its date.
	pseudo := revision != "" && strings.Contains(version, strings.TrimSuffix(revision, "-dirty"))
	if version == "" || version == "(devel)" || pseudo {
		version = "devel"
	}
	if revision != "" {
		revision = " " + revision
	}
	return version, revision
}
