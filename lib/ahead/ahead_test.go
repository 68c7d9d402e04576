package ahead

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

var errSource = errors.New("the disk is broken")

// Every byte arrives once and in order, however the source and the consumer
// divide them, and then the source's error.
func TestBytes(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef-"), 1000)
	for name, source := range map[string]func(io.Reader) io.Reader{
		"at once":          func(r io.Reader) io.Reader { return r },
		"byte by byte":     iotest.OneByteReader,
		"with the error":   iotest.DataErrReader,
		"with empty reads": func(r io.Reader) io.Reader { return &hesitant{r: r} },
	} {
		for _, end := range []error{io.EOF, errSource} {
			a := New(source(io.MultiReader(bytes.NewReader(content), iotest.ErrReader(end))), 100, 3)
			var got []byte
			var err error
			for i := 0; err == nil; i++ {
				var block []byte
				if i%3 == 0 {
					block, err = a.Next()
				} else {
					block = make([]byte, 7)
					var n int
					n, err = a.Read(block)
					block = block[:n]
				}
				got = append(got, block...)
			}
			if err != end || !bytes.Equal(got, content) || a.Offset() != int64(len(content)) {
				t.Errorf("%s: %d bytes, offset %d, %v, want %d and %v", name, len(got), a.Offset(), err, len(content), end)
			}
			if failure := a.Err(); (end == io.EOF) != (failure == nil) || failure != nil && failure != end {
				t.Errorf("%s: Err = %v after %v", name, failure, end)
			}
			if n, again := a.Read(make([]byte, 1)); n != 0 || again != end {
				t.Errorf("%s: another Read: %d, %v, want %v", name, n, again, end)
			}
		}
	}
}

// hesitant returns no bytes at every second Read.
type hesitant struct {
	r    io.Reader
	wait bool
}

func (h *hesitant) Read(p []byte) (int, error) {
	if h.wait = !h.wait; h.wait {
		return 0, nil
	}
	return h.r.Read(p)
}

// Stop ends a Read while the source is silent, and every later one, even if more
// has arrived.
func TestStop(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	a := New(r, 100, 3)
	read := make(chan error)
	go func() {
		_, err := a.Next()
		read <- err
	}()
	cause := errors.New("interrupted")
	a.Stop(cause)
	a.Stop(errors.New("too late"))
	if err := <-read; err != cause {
		t.Errorf("the waiting Read: %v, want %v", err, cause)
	}
	if _, err := a.Read(make([]byte, 1)); err != cause || a.Err() != cause {
		t.Errorf("a later Read: %v, Err = %v, want %v", err, a.Err(), cause)
	}
}
