package registry

import (
	"fmt"
	"testing"
)

func TestParseRange(t *testing.T) {
	for _, c := range []struct {
		header string
		size   int64
		want   span
		whole  bool
		bad    bool
	}{
		{"bytes=0-0", 10, span{0, 1}, false, false},
		{"bytes=2-5", 10, span{2, 4}, false, false},
		{"bytes=2-", 10, span{2, 8}, false, false},
		{"bytes=-3", 10, span{7, 3}, false, false},
		{"bytes=-30", 10, span{0, 10}, false, false},
		{"bytes=5-99", 10, span{5, 5}, false, false},
		{"bytes=9223372036854775806-", 10, span{}, false, true},
		{"bytes=10-", 10, span{}, false, true},
		{"bytes=5-4", 10, span{}, false, true},
		{"bytes=-0", 10, span{}, false, true},
		{"bytes=-1", 0, span{}, false, true},
		{"bytes=0-", 0, span{}, false, true},
		{"bytes=", 10, span{}, false, true},
		{"bytes=+1-2", 10, span{}, false, true},
		{"bytes=1-2x", 10, span{}, false, true},
		{"bytes=0-1,3-4", 10, span{0, 10}, true, false},
		{"lines=0-1", 10, span{0, 10}, true, false},
	} {
		got, whole, err := parseRange(c.header, c.size)
		if got != c.want || whole != c.whole || (err != nil) != c.bad {
			t.Errorf("parseRange(%q, %d) = %v, %v, %v, want %v, %v, error %v", c.header, c.size, got, whole, err, c.want, c.whole, c.bad)
		}
	}
}

func TestParseContentRange(t *testing.T) {
	for header, want := range map[string]span{
		"0-0":   {0, 1},
		"10-19": {10, 10},
	} {
		if got, err := parseContentRange(header); got != want || err != nil {
			t.Errorf("parseContentRange(%q) = %v, %v, want %v", header, got, err, want)
		}
	}
	for _, header := range []string{"", "5", "5-4", "-1", "1-", "bytes 0-1/2", "0-1/2", "0-9223372036854775807", "99999999999999999999-1"} {
		if got, err := parseContentRange(header); err != ErrRange {
			t.Errorf("parseContentRange(%q) = %v, %v, want ErrRange", header, got, err)
		}
	}
}

// FuzzParseRange: every range lies within the content.
func FuzzParseRange(f *testing.F) {
	f.Add("bytes=0-", int64(1))
	f.Add("bytes=-5", int64(3))
	f.Add("bytes=9-10", int64(10))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		s, whole, err := parseRange(header, size)
		switch {
		case err != nil:
		case whole && s != span{0, size}:
			t.Fatalf("parseRange(%q, %d) = %v for the whole", header, size, s)
		case !whole && (s.start < 0 || s.length <= 0 || s.length > size-s.start):
			t.Fatalf("parseRange(%q, %d) = %v", header, size, s)
		}
	})
}

// FuzzParseContentRange: a parsed range prints as it was.
func FuzzParseContentRange(f *testing.F) {
	f.Add("0-1023")
	f.Add("1024-1023")
	f.Add("-9223372036854775808-1")
	f.Fuzz(func(t *testing.T, header string) {
		s, err := parseContentRange(header)
		if err != nil {
			return
		}
		if s.start < 0 || s.length <= 0 {
			t.Fatalf("parseContentRange(%q) = %v", header, s)
		}
		again, err := parseContentRange(fmt.Sprintf("%d-%d", s.start, s.start+s.length-1))
		if err != nil || again != s {
			t.Fatalf("parseContentRange(%q) = %v, printed and parsed again %v, %v", header, s, again, err)
		}
	})
}
