// Command gunzip inflates a file and throws the bytes away, with klauspost's
// reader or with ours: what inflating alone costs a push of the same file.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"

	"k0rdent-airgap/lib/gunzip"
)

func main() {
	ours := flag.Bool("ours", false, "inflate with lib/gunzip")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: gunzip [-ours] FILE")
		os.Exit(2)
	}
	n, err := inflate(flag.Arg(0), *ours)
	if err != nil {
		fmt.Fprintf(os.Stderr, "gunzip: %s: %v\n", flag.Arg(0), err)
		os.Exit(1)
	}
	fmt.Println(n)
}

func inflate(name string, ours bool) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var r io.Reader
	if ours {
		r, err = gunzip.NewReader(bufio.NewReaderSize(f, 256<<10), 512<<10, 16)
	} else {
		r, err = gzip.NewReader(f)
	}
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, r)
}
