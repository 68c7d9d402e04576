// Package ports finds the program on this host that listens on a port.
package ports

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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

// Owners returns the process that holds each socket, by inode, as far as
// permissions allow: "nginx (process 12)".
func Owners(proc string) map[string]string {
	found := make(map[string]string)
	links, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return found
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		inode, isSocket := strings.CutPrefix(strings.TrimSuffix(target, "]"), "socket:[")
		if err != nil || !isSocket {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue
		}
		found[inode] = fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(comm)), pid)
	}
	return found
}

// Holder returns the program that listens on a TCP port, or "another program"
// if that cannot be determined.
func Holder(proc string, port int) string {
	if who := Owners(proc)[Listeners(proc, "tcp")[port]]; who != "" {
		return who
	}
	return "another program"
}
