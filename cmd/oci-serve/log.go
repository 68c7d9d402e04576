package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"unicode"
)

// newLog makes the log of a person or program that wants to know of each
// request, or else of one who wants to see faults and warnings only, in the form
// of all the tools' messages.
func newLog(stderr io.Writer, cfg config) *slog.Logger {
	switch {
	case cfg.accessLog == "json":
		return slog.New(slog.NewJSONHandler(stderr, nil))
	case cfg.accessLog == "text" || cfg.Verbose:
		return slog.New(slog.NewTextHandler(stderr, nil))
	}
	return slog.New(&faultHandler{stderr})
}

// faultHandler writes warnings and errors, a line each.
type faultHandler struct{ w io.Writer }

func (h *faultHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// words has what stands before a value in a line; others are left out.
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
		if word, ok := words[a.Key]; ok {
			line += word + a.Value.String()
		}
		return true
	})
	_, err := io.WriteString(h.w, strings.Map(printable, strings.ReplaceAll(line, "\n", "; "))+"\n")
	return err
}

// printable keeps what clients send from moving a terminal's cursor.
func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return '?'
	}
	return r
}

func (h *faultHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *faultHandler) WithGroup(string) slog.Handler      { return h }
