package main

import (
	"flag"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/config"
)

// addGone adds the flags that were removed or moved to k0s-up, with what to use
// instead.
func addGone(fs *flag.FlagSet) {
	for name, instead := range map[string]string{
		"single-host-test": "use --ignore loopback",
		"purge":            "oci-serve --purge removes the registry's storage",
		"k0s-download":     "k0s-extract installs k0s from a bundle, a registry or a file",
		"replace-k0s":      "k0s-extract --replace installs another k0s",
	} {
		cli.Gone(fs, name, "was removed", func(string) string { return instead })
	}
	for _, name := range append([]string{"join", "k0s"}, config.HostFlags...) {
		cli.Gone(fs, name, "moved to k0s-up, which sets up the host", func(value string) string {
			return strings.TrimSpace("k0s-up --"+name+" "+value) + "; then k0rdent-install"
		})
	}
}
