package main

import (
	_ "embed"
	"fmt"
	"strings"
)

// script is what makes the other host join; README tells how.
//
//go:embed join.sh
var script string

// joinScript fills in what the script is to know. Nothing of that has a
// character that means something to a shell: versions and platforms are
// parsed, and the names of files are made of checked hosts.
func (p *packing) joinScript(f found, files string) []byte {
	return []byte(strings.NewReplacer(
		"@VERSION@", f.version.String(), "@ARCH@", f.platform.Architecture, "@ROLE@", p.role, "@FILES@", strings.TrimSuffix(files, "\n"),
	).Replace(script))
}

// readme says to a person what was packed, and what to do with it.
func (p *packing) readme(f found) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "k0s %s for linux/%s, and what a %s needs to join the cluster.\n\n", f.version, f.platform.Architecture, p.role)
	b.WriteString("All of this runs as root on the host that is to join. Before it does, compare the\ndigest of what was carried there with the one that k0s-extract printed.\n\nAs root, on that host:\n\n    sh join.sh --plan    # tells what it would do\n    sh join.sh\n\n")
	if len(p.tokenText) > 0 {
		b.WriteString("The file token lets whoever has it join the cluster. join.sh removes it when it\nwas used; remove what it was unpacked from, too.\n\n")
	} else {
		role := strings.TrimSuffix(p.role, "+worker")
		fmt.Fprintf(&b, "A join token is needed as well. On a controller that runs:\n\n    k0s token create --role=%s --expiry=1h >token\n\nPut the file beside join.sh, or name it: sh join.sh --token-file FILE\n\n", role)
	}
	b.WriteString("  k0s         the program, for /usr/local/bin\n")
	if len(p.mirrors) > 0 {
		fmt.Fprintf(&b, "  etc/k0s     tells containerd to pull from %s\n", addresses(p.mirrors))
	}
	if len(p.configText) > 0 {
		b.WriteString("  etc/k0s/k0s.yaml  what the controllers of a cluster have in common; join.sh\n              adds the address and the name of the host\n")
	}
	if len(p.ca) > 0 {
		b.WriteString("  ca.crt      the registry's certificate authority; the drop-ins have copies\n")
	}
	b.WriteString("  SHA256SUMS  is checked by join.sh before anything is done\n\n")
	b.WriteString("join.sh needs a shell and GNU coreutils. It can be run again at any time.\n")
	return []byte(b.String())
}
