// Command program is what runs in the containers of the tests. Its name says
// what it does: wait until it is told to end, be done at once, or fail.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	switch filepath.Base(os.Args[0]) {
	case "done":
		fmt.Println("prerequisites are met")
	case "fail":
		fmt.Fprintln(os.Stderr, "checking prerequisites") // one stream, so that the lines keep their order
		fmt.Fprintln(os.Stderr, "prerequisites are not met: no CA")
		os.Exit(3)
	default:
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGINT, syscall.SIGTERM)
		<-told
	}
}
