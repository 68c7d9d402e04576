// Package textfile reads the small text files that people pass to a tool:
// configuration, passwords, keys, lists. Such files pass through editors,
// browsers and Windows, so a byte order mark, UTF-16 and other line ends are
// accepted, and read the same as plain UTF-8 text with Unix line ends.
package textfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Max is the size in bytes up to which Read accepts a file.
const Max = 4 << 20

var (
	errBinary = errors.New("not a text file, or not saved as UTF-8")
	errLarge  = fmt.Errorf("larger than %d bytes", Max)
)

// Read returns the text of the file at path as UTF-8 with Unix line ends.
// Errors name the file.
func Read(path string) ([]byte, error) {
	content, err := Bytes(path)
	if err != nil {
		return nil, err
	}
	text, err := Text(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}

// All is like Read for a file that is already open. Its own errors do not name
// it.
func All(r io.Reader) ([]byte, error) {
	content, err := BytesOf(r)
	if err != nil {
		return nil, err
	}
	return Text(content)
}

// Bytes returns the content of a small file that may be text or binary, such as
// a key or a signature, unchanged.
func Bytes(path string) ([]byte, error) {
	return Patiently(path, func() ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() { // Windows says something else
			return nil, &os.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
		}
		content, err := BytesOf(f)
		if err == errLarge {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return content, err
	})
}

// Text returns content as UTF-8 text with Unix line ends.
func Text(content []byte) ([]byte, error) {
	text, err := io.ReadAll(NewReader(bytes.NewReader(content)))
	if err == nil && bytes.IndexByte(text, 0) >= 0 {
		err = errBinary
	}
	return text, err
}

// Password returns the password in the file at path, without its line end.
// Blanks are part of the password.
func Password(path string) (string, error) {
	text, err := Read(path)
	if err != nil {
		return "", err
	}
	return password(path, text)
}

// PasswordOf is like Password for a file that is already open and that may be a
// pipe. Errors call it name.
func PasswordOf(r io.Reader, name string) (string, error) {
	text, err := Patiently("", func() ([]byte, error) { return All(r) })
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return password(name, text)
}

func password(name string, text []byte) (string, error) {
	password := strings.TrimSuffix(string(text), "\n")
	switch {
	case password == "":
		return "", fmt.Errorf("%s: the file is empty", name)
	case strings.Contains(password, "\n"):
		return "", fmt.Errorf("%s: more than one line", name)
	}
	return password, nil
}

// BytesOf is like Bytes for a file that is already open. Its own errors do not
// name it.
func BytesOf(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, Max+1))
	if err == nil && len(content) > Max {
		err = errLarge
	}
	return content, err
}
