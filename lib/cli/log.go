package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// Logger returns a logger that writes to w if verbose, and discards everything
// otherwise.
func Logger(w io.Writer, verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(&plainHandler{w})
}

// plainHandler writes lines for a person: the message, then each attribute that
// has a value.
type plainHandler struct{ w io.Writer }

func (h *plainHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *plainHandler) Handle(_ context.Context, r slog.Record) error {
	line, sep := r.Message, ": "
	r.Attrs(func(a slog.Attr) bool {
		if v := a.Value.Any(); v != nil && v != "" {
			line += fmt.Sprintf("%s%s %v", sep, a.Key, v)
			sep = ", "
		}
		return true
	})
	if p, ok := h.w.(*Progress); ok {
		line = p.name + ": " + line
	}
	_, err := io.WriteString(h.w, oneLine(line)+"\n")
	return err
}

func (h *plainHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *plainHandler) WithGroup(string) slog.Handler      { return h }
