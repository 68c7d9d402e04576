// Command cutoff serves the files of a directory over HTTP, as a line that does
// not last would: each answer breaks off after so many bytes. It prints its
// address, and then a line "PATH RANGE STATUS" for each request.
//
//	cutoff -after 65536 DIR
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	after := flag.Int("after", 1<<16, "bytes of an answer")
	flag.Parse()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "cutoff:", err)
		os.Exit(1)
	}
	fmt.Println(ln.Addr())
	files := http.FileServer(http.Dir(flag.Arg(0)))
	handler := func(w http.ResponseWriter, r *http.Request) {
		c := &cut{ResponseWriter: w, left: *after}
		defer func() { fmt.Println(r.URL.Path, r.Header.Get("Range"), c.status) }()
		files.ServeHTTP(c, r)
	}
	err = http.Serve(ln, http.HandlerFunc(handler))
	fmt.Fprintln(os.Stderr, "cutoff:", err)
	os.Exit(1)
}

// cut is an answer that breaks off.
type cut struct {
	http.ResponseWriter
	left, status int
}

func (c *cut) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *cut) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	// Whether the client is still there or not, it does not get more.
	c.ResponseWriter.Write(p[:c.left])
	http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}
