// Command zip writes the files below a directory to standard output as a zip
// archive, with their times in the zone of TZ:
//
//	zip DIR >FILE
package main

import (
	"archive/zip"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: zip DIR")
		os.Exit(2)
	}
	out := zip.NewWriter(os.Stdout)
	err := out.AddFS(os.DirFS(os.Args[1]))
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "zip:", err)
		os.Exit(1)
	}
}
