package main

import (
	"slices"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/config"
)

// gone are flags that no tool has any more, and what to do instead.
var gone = map[string]string{
	"single-host-test": "use --ignore loopback",
	"purge":            "oci-serve --purge removes the registry's storage",
	"k0s-download":     "k0s-extract puts k0s on this host, from a bundle, a registry or a file",
	"replace-k0s":      "k0s-extract --replace puts another k0s on this host",
}

// moved returns misuse if a flag is one that k0s-up has today, with the command
// to use; nil if there is none.
func moved(args []string) error {
	for n, a := range args {
		name, value, found := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if a == "--" || !strings.HasPrefix(a, "-") {
			continue
		}
		if instead := gone[name]; instead != "" {
			return cli.Hint(cli.Misuse("--%s was removed", name), "%s", instead)
		}
		if !slices.Contains(config.HostFlags, name) && name != "join" && name != "k0s" {
			continue
		}
		command := "k0s-up --" + name
		switch {
		case found:
			command += " " + value
		case n+1 < len(args) && !strings.HasPrefix(args[n+1], "-"):
			command += " " + args[n+1]
		}
		return cli.Hint(cli.Misuse("--%s moved to k0s-up, which brings up the host", name), "%s; then k0rdent-install", command)
	}
	return nil
}
