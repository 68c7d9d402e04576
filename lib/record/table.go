package record

import (
	"fmt"
	"strings"
)

// column is one column of a table. Rows are written as they arrive, so the
// width is fixed in advance; a longer cell shifts the rest of its line.
type column struct {
	title string
	width int
}

// columns returns the columns of a tool's table, by the kind of its own
// records.
func columns(kind string) []column {
	switch kind {
	case "bundle":
		return []column{{"PATH", 40}, {"FORMAT", 8}, {"SIZE", 9}, {"SIGNATURE", 9}, {"DIGEST", 0}}
	case "version":
		return []column{{"NAME", 24}, {"VERSION", 14}, {"APPVERSION", 14}, {"K0S", 0}}
	case "image":
		return []column{{"REFERENCE", 56}, {"TYPE", 8}, {"SIZE", 9}, {"STATUS", 8}, {"PLATFORMS", 24}, {"NOTE", 0}}
	case "registry":
		return []column{{"URL", 32}, {"PID", 8}, {"STORAGE", 36}, {"CA", 0}}
	case "file":
		return []column{{"PATH", 52}, {"STATUS", 9}, {"MODE", 4}, {"SIZE", 9}, {"NOTE", 0}}
	case "step":
		return []column{{"STEP", 16}, {"STATUS", 9}, {"SECONDS", 7}, {"NOTE", 0}}
	default:
		return []column{{"KIND", 10}, {"DETAIL", 0}}
	}
}

func (w *Writer) row(r Record) error {
	if s, ok := r.(Summary); ok {
		return w.put([]byte(s.String() + "\n"))
	}
	cols := columns(w.format.main.Kind())
	var b strings.Builder
	if !w.header {
		w.header = true
		titles := make([]string, len(cols))
		for i, c := range cols {
			titles[i] = c.title
		}
		line(&b, cols, titles)
	}
	line(&b, cols, cells(w.format.main.Kind(), r))
	return w.put([]byte(b.String()))
}

func line(b *strings.Builder, cols []column, cells []string) {
	var row strings.Builder
	for i, c := range cols {
		cell := "-"
		if i < len(cells) && cells[i] != "" {
			cell = cells[i]
		}
		if i > 0 {
			row.WriteString("  ")
		}
		fmt.Fprintf(&row, "%-*s", c.width, cell)
	}
	b.WriteString(strings.TrimRight(row.String(), " ") + "\n")
}

// cells returns the row of a record in a table of a kind, in the order of its
// columns. Records of other kinds fill the columns that they can.
func cells(kind string, r Record) []string {
	if kind == "step" {
		return stepCells(r)
	}
	switch r := r.(type) {
	case Bundle:
		return []string{r.Path, r.Format, Bytes(r.Size), r.Signature, r.Digest}
	case Version:
		return []string{r.Name, r.Version, r.AppVersion, strings.Join(r.K0s, " ")}
	case Image:
		note := r.Warning
		if r.Error != "" {
			note = r.Error
		}
		return []string{r.Name(), r.Type, Bytes(r.Size), r.Status, strings.Join(r.Platforms, ","), note}
	case Skipped:
		return []string{r.Entry, "skipped", Bytes(r.Size), r.Status, "", r.Reason}
	case Repository:
		note := fmt.Sprintf("%d tags", r.Tags)
		if r.Tags == 1 {
			note = "1 tag"
		}
		if r.SharedBytes > 0 {
			note += ", " + Bytes(r.SharedBytes) + " shared with the above"
		}
		return []string{r.Repository, "", Bytes(r.Size), "", "", note}
	case Blob:
		return []string{"  " + r.Digest, "blob", Bytes(r.Size), "", "", r.MediaType}
	case File:
		note := r.Error
		if note == "" {
			note = strings.TrimSpace(r.Version + " " + r.Platform)
		}
		return []string{r.Path, r.Status, r.Mode, Bytes(r.Size), note}
	case Registry:
		return []string{r.URL, fmt.Sprint(r.PID), r.Storage, r.CA}
	default:
		return []string{r.Kind(), fmt.Sprint(r)}
	}
}

// stepCells returns the row of a record in a table of steps, which also lists
// the files that the steps write and the images that are missing.
func stepCells(r Record) []string {
	switch r := r.(type) {
	case Step:
		note := r.Error
		if note == "" {
			note = r.Detail
		}
		return []string{r.Name, r.Status, fmt.Sprintf("%.1f", r.Seconds), note}
	case File:
		return []string{"  " + r.Path, r.Status, "", r.Error}
	case Cluster:
		status := r.Status
		if status == "" {
			status = StatusDone
		}
		return []string{"cluster", status, "", fmt.Sprintf("%s at %s, k0s %s, %s", r.Node, r.Address, r.K0s, r.Kubeconfig)}
	case Image:
		return []string{"  " + r.Reference, r.Status, "", r.Error}
	default:
		return []string{r.Kind(), "", "", fmt.Sprint(r)}
	}
}

// Bytes formats a size for people, in powers of 1000 as for disks and on the
// vendor's download page.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n), "kMGTPE"
	i := -1
	for f >= 999.95 && i < len(units)-1 {
		f /= 1000
		i++
	}
	return fmt.Sprintf("%.1f %cB", f, units[i])
}
