package cli

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestBarFitsTheTerminal(t *testing.T) {
	tests := []struct {
		name    string
		total   int64
		width   int
		want    []string // what a person sees
		wantNot []string
	}{
		{"wide", 22e9, 200, []string{"pushing 9.9 GB/22.0 GB", "45% |" + strings.Repeat("█", 10) + strings.Repeat(" ", 14) + "|", "/s)", "s left"}, nil},
		{"80 columns", 22e9, 80, []string{"pushing 9.9 GB/22.0 GB", "45%", "/s)", "s left"}, nil},
		{"50 columns", 22e9, 50, []string{"9.9 GB/22.0 GB", "45%", "/s)", "s left"}, []string{"pushing"}},
		{"40 columns", 22e9, 40, []string{"45% |█", "/s)", "s left"}, []string{"pushing", "22.0 GB"}},
		{"20 columns", 22e9, 20, []string{"45% |"}, []string{"pushing"}},
		{"one column", 22e9, 1, nil, nil},
		{"unknown total", 0, 80, []string{"pushing 9.9 GB", "/s) 0s"}, []string{"%"}},
		{"unknown total, 40 columns", 0, 40, []string{"9.9 GB", "/s) 0s"}, []string{"%"}},
		{"done", 9.9e9, 80, []string{"pushing 9.9 GB/9.9 GB", "100%"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBar("pushing", tt.total)
			b.advance(9.8e9)
			b.advance(9.9e9)
			line := b.line(0, 0, "", tt.width)
			if n := utf8.RuneCountInString(line); n >= tt.width {
				t.Errorf("line of %d cells, want fewer than %d: %q", n, tt.width, line)
			}
			for _, want := range tt.want {
				if !strings.Contains(line, want) {
					t.Errorf("line is %q, want %q in it", line, want)
				}
			}
			for _, not := range tt.wantNot {
				if strings.Contains(line, not) {
					t.Errorf("line is %q, want no %q in it", line, not)
				}
			}
		})
	}
}

// TestBarNamesTheItemAtWork: with how many are done, where there is room.
func TestBarNamesTheItemAtWork(t *testing.T) {
	for _, tt := range []struct {
		width int
		total int
		want  string
	}{
		{130, 120, "pushing 12/120 alertmanager_v0.27.0             9.9 GB/22.0 GB "},
		{80, 120, "12/120 "},
		{80, 0, "12 alert"},
		{64, 120, "pushing 9.9 GB/22.0 GB "},
		{40, 120, "45% |"},
	} {
		b := newBar("pushing", 22e9)
		b.advance(9.9e9)
		line := b.line(12, tt.total, "alertmanager_v0.27.0", tt.width)
		if !strings.HasPrefix(strings.TrimSpace(line), tt.want) || utf8.RuneCountInString(line) >= tt.width {
			t.Errorf("line in %d columns is %q, want it to begin with %q", tt.width, line, tt.want)
		}
	}
}

func TestBarShowsTheRateSinceItsStart(t *testing.T) {
	b := newBar("pushing", 100e6)
	time.Sleep(50 * time.Millisecond)
	b.advance(1e6)
	if line := b.line(0, 0, "", 80); !strings.Contains(line, " MB/s)") {
		t.Errorf("line is %q, want at most 20 MB/s", line)
	}
}

func TestBarNeverGoesBack(t *testing.T) {
	b := newBar("pushing", 100e6)
	if b.advance(0) {
		t.Error("there is something to show before the first byte")
	}
	b.advance(50e6)
	b.advance(20e6)
	if line := b.line(0, 0, "", 80); !strings.Contains(line, "50.0 MB/100.0 MB") {
		t.Errorf("line is %q, want 50.0 MB of 100.0 MB still", line)
	}
}

// TestBarWhileWaiting: the bar shows no rate or time left, which would only
// grow.
func TestBarWhileWaiting(t *testing.T) {
	b := newBar("pushing", 100e6)
	if got := b.waiting("waiting for records", 80); got != "waiting for records" {
		t.Errorf("line is %q before the first byte", got)
	}
	b.advance(1e6)
	if got, want := b.waiting("waiting for records", 80), "pushing 1.0 MB/100.0 MB, waiting for records"; got != want {
		t.Errorf("line is %q, want %q", got, want)
	}
	if got := b.waiting("waiting for records", 20); utf8.RuneCountInString(got) >= 20 {
		t.Errorf("line is %q in 20 cells", got)
	}
}
