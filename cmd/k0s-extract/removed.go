package main

import (
	"strings"

	"k0rdent-airgap/lib/cli"
)

// removed returns misuse if a flag is --export, which install.sh has taken over;
// nil otherwise.
func removed(args []string) error {
	for _, a := range args {
		if a == "--" {
			break
		}
		name, _, _ := strings.Cut(a, "=")
		if name == "--export" || name == "-export" {
			return cli.Hint(cli.Misuse("--export was removed"), "install.sh --export-worker or --export-controller packs what a further host needs")
		}
	}
	return nil
}
