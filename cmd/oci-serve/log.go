package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"

	"github.com/coreos/go-systemd/v22/journal"

	"k0rdent-airgap/lib/cli"
)

// newLog returns a log of each request with --access-log or --verbose, or else of
// errors and warnings only, in the form of all tools' messages.
func newLog(stderr io.Writer, cfg config) *slog.Logger {
	journald, _ := journal.StderrIsJournalStream() // false if that is unknown
	out := &prefixed{w: stderr}
	var h slog.Handler = &faultHandler{out}
	switch {
	case cfg.accessLog == "json":
		h = slog.NewJSONHandler(out, nil)
	case (cfg.accessLog == "text" || cfg.Verbose) && journald:
		h = slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: withoutStamp})
	case cfg.accessLog == "text" || cfg.Verbose:
		h = slog.NewTextHandler(out, nil)
	}
	if journald {
		h = &journalHandler{Handler: h, out: out}
	}
	return slog.New(h)
}

// withoutStamp omits what the journal records of each line itself.
func withoutStamp(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return a
}

// journalHandler adds to each line the priority under which the journal files it,
// as sd-daemon(3) has it.
type journalHandler struct {
	slog.Handler
	mu  sync.Mutex
	out *prefixed // to which Handler writes
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case r.Level >= slog.LevelError:
		h.out.prefix = "<3>"
	case r.Level >= slog.LevelWarn:
		h.out.prefix = "<4>"
	default:
		h.out.prefix = "<6>"
	}
	return h.Handler.Handle(ctx, r)
}

// prefixed writes a prefix before each line. A line is one Write.
type prefixed struct {
	w      io.Writer
	prefix string
}

func (p *prefixed) Write(line []byte) (int, error) {
	_, err := p.w.Write(append([]byte(p.prefix), line...))
	return len(line), err
}

// faultHandler writes warnings and errors, a line each.
type faultHandler struct{ w io.Writer }

func (h *faultHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// words maps the attributes that are printed to the text before their value.
var words = map[string]string{
	"method": " ",
	"path":   " ",
	"remote": " from ",
	"user":   " for ",
	"error":  ": ",
}

func (h *faultHandler) Handle(_ context.Context, r slog.Record) error {
	line := "oci-serve: " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "repeated" {
			line += fmt.Sprintf("; %d more since", a.Value.Int64())
		}
		if word, ok := words[a.Key]; ok {
			line += word + a.Value.String()
			if hint := cli.HintAmong([]any{a.Value.Any()}); hint != "" {
				line += "; hint: " + hint
			}
		}
		return true
	})
	_, err := io.WriteString(h.w, strings.Map(printable, strings.ReplaceAll(line, "\n", "; "))+"\n")
	return err
}

// printable replaces what could move a terminal's cursor, since clients send it.
func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return '?'
	}
	return r
}

func (h *faultHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *faultHandler) WithGroup(string) slog.Handler      { return h }
