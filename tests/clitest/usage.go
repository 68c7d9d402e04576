package clitest

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// checkUsage fails unless a usage text fits 80 columns, starts with a synopsis
// and an example, and has its flags in groups, each with a heading.
func checkUsage(t *testing.T, tool, usage string) {
	t.Helper()
	for line := range strings.SplitSeq(usage, "\n") {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("usage: more than 80 columns: %s", line)
		}
	}
	blocks := strings.Split(usage, "\n\n")
	if len(blocks) < 3 || !strings.HasPrefix(blocks[0], "usage: ") {
		t.Fatalf("usage: no synopsis:\n%s", usage)
	}
	if !regexp.MustCompile(`(?m)^  (.* \| )?` + regexp.QuoteMeta(tool) + ` [^\[]*$`).MatchString(blocks[1]) {
		t.Errorf("usage: no example of %s after the synopsis:\n%s", tool, blocks[1])
	}
	for _, block := range blocks[2:] {
		heading, rest, _ := strings.Cut(block, "\n")
		if isGroup := strings.HasPrefix(rest, "  --"); isGroup != regexp.MustCompile(`^[A-Za-z].*:$`).MatchString(heading) || strings.HasPrefix(heading, " ") {
			t.Errorf("usage: flags must be in groups with a heading:\n%s", block)
		}
	}
}
