// Package ports finds the program on this host that listens on a port.
package ports

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Proc is where the kernel exposes its tables.
const Proc = "/proc"

// Listeners returns the inode of the socket bound to each port, from the tables
// of kind "tcp" or "udp" in proc.
func Listeners(proc, kind string) map[int]string {
	found := make(map[int]string)
	for _, name := range []string{kind, kind + "6"} {
		f, err := os.Open(filepath.Join(proc, "net", name))
		if err != nil {
			continue // no IPv6
		}
		s := bufio.NewScanner(f)
		for s.Scan() {
			// sl local_address rem_address st … inode, as proc_net_tcp.txt says.
			fields := strings.Fields(s.Text())
			const listening = "0A"
			if len(fields) < 10 || kind == "tcp" && fields[3] != listening {
				continue
			}
			_, hexPort, _ := strings.Cut(fields[1], ":")
			if b, err := hex.DecodeString(hexPort); err == nil && len(b) == 2 {
				found[int(b[0])<<8|int(b[1])] = fields[9]
			}
		}
		f.Close()
	}
	return found
}

// Owner returns the process that holds a socket, "nginx (process 12)", or "another
// program" if permissions do not allow finding it.
func Owner(proc, inode string) string {
	links, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*")) // the pattern is valid
	for _, link := range links {
		if target, _ := os.Readlink(link); target != "socket:["+inode+"]" {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		if comm, err := os.ReadFile(filepath.Join(dir, "comm")); err == nil {
			return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(comm)), filepath.Base(dir))
		}
	}
	return "another program"
}

// Holder returns the program that listens on a TCP port, as Owner does.
func Holder(proc string, port int) string { return Owner(proc, Listeners(proc, "tcp")[port]) }
