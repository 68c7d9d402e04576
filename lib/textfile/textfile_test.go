package textfile

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
)

func encode16(order binary.AppendByteOrder, s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const sample = "name väl\U0001f511ue\nsecond line\n"

// forms are one text as editors and shells save it.
var forms = []struct{ name, content string }{
	{"plain", sample},
	{"BOM", "\xef\xbb\xbf" + sample},
	{"CRLF", strings.ReplaceAll(sample, "\n", "\r\n")},
	{"CR", strings.ReplaceAll(sample, "\n", "\r")},
	{"BOM and CRLF", "\xef\xbb\xbf" + strings.ReplaceAll(sample, "\n", "\r\n")},
	{"UTF-16 LE", encode16(binary.LittleEndian, strings.ReplaceAll(sample, "\n", "\r\n"))},
	{"UTF-16 BE", encode16(binary.BigEndian, sample)},
}

func TestEveryFormOfATextIsTheSame(t *testing.T) {
	for _, tt := range forms {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := Read(file(t, tt.content)); err != nil || string(got) != sample {
				t.Errorf("Read = %q, %v, want %q", got, err, sample)
			}
			got, err := io.ReadAll(iotest.OneByteReader(NewReader(iotest.OneByteReader(strings.NewReader(tt.content)))))
			if err != nil || string(got) != sample {
				t.Errorf("NewReader = %q, %v, want %q", got, err, sample)
			}
		})
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"too large", strings.Repeat("x", Max+1), "larger than 4194304 bytes"},
		{"binary", "\x1f\x8b\x00\x00", "not a text file"},
		{"UTF-16 without a mark", "a\x00b\x00", "not saved as UTF-8"},
		{"half a character", encode16(binary.LittleEndian, "ab") + "c", "invalid UTF-16"},
		{"half a pair", encode16(binary.LittleEndian, "ab") + "\x00\xd8", "invalid UTF-16"},
		{"wrong pair", encode16(binary.LittleEndian, "ab") + "\x00\xd8a\x00", "invalid UTF-16"},
	}
	for _, tt := range tests {
		name := file(t, tt.content)
		if _, err := Read(name); err == nil || !strings.HasPrefix(err.Error(), name+": ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want %s: ...%s", tt.name, err, name, tt.want)
		}
	}
}

func TestPassword(t *testing.T) {
	tests := []struct{ name, content, want, wantErr string }{
		{"no line end", "secret", "secret", ""},
		{"line end", "secret\n", "secret", ""},
		{"CRLF", "secret\r\n", "secret", ""},
		{"Notepad", "\xef\xbb\xbfsecret\r\n", "secret", ""},
		{"PowerShell", encode16(binary.LittleEndian, "sécret\r\n"), "sécret", ""},
		{"blanks belong to it", " se cret\t \n", " se cret\t ", ""},
		{"Latin-1", "s\xe9cret\n", "s\xe9cret", ""},
		{"a mark inside", "a\ufeffb\n", "a\ufeffb", ""},
		{"empty", "\n", "", "the file is empty"},
		{"two lines", "secret\nmore\n", "", "more than one line"},
		{"two line ends", "secret\n\n", "", "more than one line"},
	}
	for _, tt := range tests {
		got, err := Password(file(t, tt.content))
		if tt.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("%s: error is %v, want %s", tt.name, err, tt.wantErr)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%s: Password = %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

// A program that reads lines from a pipe must see each one as soon as it is
// written, even the first, which may be shorter than a byte order mark.
func TestReaderDoesNotWaitForMore(t *testing.T) {
	for _, first := range []string{"\n", "{\n", "\xff\xfea\x00\n\x00"} {
		r, w := io.Pipe()
		go w.Write([]byte(first)) // and never closes
		b := make([]byte, 16)
		if n, err := NewReader(r).Read(b); n == 0 || err != nil {
			t.Errorf("after %q: Read = %d, %v", first, n, err)
		}
		r.Close()
	}
}

func FuzzText(f *testing.F) {
	for _, tt := range forms {
		f.Add([]byte(tt.content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		text, err := Text(content)
		if err != nil {
			return
		}
		marked := bytes.HasPrefix(content, []byte("\xef\xbb\xbf")) || bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff"))
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(content))
		if !marked && string(text) != want {
			t.Errorf("Text(%q) = %q, want %q", content, text, want)
		}
		if bytes.ContainsAny(text, "\r\x00") {
			t.Errorf("Text(%q) = %q", content, text)
		}
	})
}
