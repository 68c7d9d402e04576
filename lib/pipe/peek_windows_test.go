package pipe

import (
	"errors"
	"os"
	"testing"
)

// TestPeekStream: what waits in a pipe is seen and stays there, an end is seen,
// and a pipe that stays silent is not taken for one that says nothing.
func TestPeekStream(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if data, ended, err := peekStream(r, true); len(data) > 0 || ended || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("silent: %q, %v, %v, want ErrUnsupported", data, ended, err)
	}
	const text = `{"kind":"note"}` + "\n"
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if data, ended, err := peekStream(r, true); string(data) != text || ended || err != nil {
			t.Errorf("a record: %q, %v, %v", data, ended, err)
		}
	}
	b := make([]byte, 100)
	if n, err := r.Read(b); string(b[:n]) != text || err != nil {
		t.Errorf("read %q, %v after it was seen", b[:n], err)
	}
	w.Close()
	if data, ended, err := peekStream(r, true); len(data) > 0 || !ended || err != nil {
		t.Errorf("closed: %q, %v, %v, want its end", data, ended, err)
	}
}
