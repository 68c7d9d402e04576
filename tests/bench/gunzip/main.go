// Command gunzip inflates a file and throws the bytes away: the time that a
// push of the same file cannot fall below.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gunzip FILE")
		os.Exit(2)
	}
	n, err := inflate(os.Args[1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "gunzip: %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	fmt.Println(n)
}

func inflate(name string) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, r)
}
