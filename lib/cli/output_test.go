package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k0rdent-airgap/lib/record"
)

// TestWaitWithoutTerminal: a line a minute, with what is waited for at the time.
func TestWaitWithoutTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := NewProgress("k0s-up", &out, false)
		w := p.Await("k0s-ready", "k0s", time.Now().Add(-3*time.Second), 45*time.Minute, "journalctl -fu k0scontroller")
		time.Sleep(61 * time.Second)
		w.For("node a")
		time.Sleep(time.Minute)
		w.Done()
		w.Done()
		time.Sleep(time.Hour)
		want := "k0s-up: k0s-ready: waiting for k0s, 1m3s of 45m (journalctl -fu k0scontroller)\n" +
			"k0s-up: k0s-ready: waiting for node a, 2m3s of 45m (journalctl -fu k0scontroller)\n"
		if out.String() != want {
			t.Errorf("wrote %q, want %q", out.String(), want)
		}
	})
}

func TestWaitIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := NewProgress("k0s-up", &out, true).Await("k0s-ready", "k0s", time.Now(), time.Hour, "")
		time.Sleep(time.Hour)
		w.Done()
		if out.Len() > 0 {
			t.Errorf("wrote %q, want nothing", out.String())
		}
	})
}

func TestWaitFitsTheTerminal(t *testing.T) {
	w := &Wait{p: NewProgress("k0s-up", &bytes.Buffer{}, true), step: "k0s-ready", what: "k0s", since: time.Now().Add(-100 * time.Second), limit: 45 * time.Minute, look: "journalctl -fu k0scontroller"}
	for width, want := range map[int]string{
		80: "k0s-ready: waiting for k0s … 1m40s of 45m (journalctl -fu k0scontroller)",
		60: "k0s-ready: waiting for k0s … 1m40s of 45m",
		40: "waiting for k0s … 1m40s of 45m",
		20: "waiting f…m40s of 4", // cut below
	} {
		got := w.fit(width)
		if len([]rune(got)) >= width {
			t.Errorf("line is %q in %d columns", got, width)
		}
		if width > 20 && got != want {
			t.Errorf("line is %q in %d columns, want %q", got, width, want)
		}
	}
}

func TestShortDuration(t *testing.T) {
	for in, want := range map[time.Duration]string{
		0: "0s", 400 * time.Millisecond: "0s", 9 * time.Second: "9s", 100 * time.Second: "1m40s", 45 * time.Minute: "45m", time.Hour: "1h", 2*time.Hour + 5*time.Minute: "2h5m", time.Hour + time.Second: "1h0m1s",
	} {
		if got := shortDuration(in); got != want {
			t.Errorf("shortDuration(%v) = %q, want %q", in, got, want)
		}
	}
}

// TestVariableForAllTools: it forces JSON, a tool's own setting beats it, and a
// table is refused.
func TestVariableForAllTools(t *testing.T) {
	for _, tt := range []struct{ all, own, flag, want, wantErr string }{
		{"", "", "", "auto", ""},
		{"json", "", "", "json", ""},
		{"auto", "", "", "auto", ""},
		{"json", "table", "", "table", ""},
		{"json", "", "table", "table", ""},
		{"table", "", "", "", `invalid K0RDENT_FORMAT="table": must be auto or json`},
	} {
		t.Setenv("K0RDENT_FORMAT", tt.all)
		t.Setenv("MY_TOOL_FORMAT", tt.own)
		var c testConfig
		fs := c.flags()
		f := record.NewFormat(record.Bundle{})
		fs.Var(f, "format", "")
		var args []string
		if tt.flag != "" {
			args = []string{"--format", tt.flag}
		}
		err := Parse(fs, args, "", &bytes.Buffer{}, 1)
		if tt.wantErr != "" {
			if err == nil || err.Error() != tt.wantErr || Code(err) != CodeMisuse {
				t.Errorf("%+v: error %v", tt, err)
			}
			continue
		}
		if err != nil || f.String() != tt.want {
			t.Errorf("%+v: format %s, %v", tt, f, err)
		}
	}
}

// TestItemsAreNotRepeated: with 2>&1 the records are all that there is.
func TestItemsAreNotRepeated(t *testing.T) {
	dir := t.TempDir()
	open := func(name string) *os.File {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	for _, tt := range []struct{ stdout, stderr, want string }{{"a", "b", "[1/2] x\n"}, {"c", "c", ""}} {
		p := NewProgress("t", open(tt.stderr), false)
		p.Records(open(tt.stdout), record.NewFormat(record.Image{}))
		p.Item(2, "x")
		if got, err := os.ReadFile(filepath.Join(dir, tt.stderr)); err != nil || string(got) != tt.want {
			t.Errorf("stdout %s, stderr %s: %q, %v, want %q", tt.stdout, tt.stderr, got, err, tt.want)
		}
	}
}

func TestVerboseIsForPeople(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress("t", &out, false)
	log := Logger(p, true)
	log.Debug("blob", "digest", "sha256:ab", "size", int64(7), "sent", false, "note", "", "error", error(nil))
	log.Info("upload broke off", "error", errors.New("reset\nby peer"))
	if want := "t: blob: digest sha256:ab, size 7, sent false\nt: upload broke off: error reset by peer\n"; out.String() != want {
		t.Errorf("wrote %q, want %q", out.String(), want)
	}
	Logger(p, false).Error("x")
	if strings.Contains(out.String(), "x\n") {
		t.Error("logs without --verbose")
	}
}
