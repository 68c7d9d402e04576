package cli

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// What is wrong with every image of a bundle must not push the one other problem
// off the screen, and its hint must be seen.
func TestProblemsAreShownOnceWithTheirHints(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress("tool", &out, true)
	full := Hint(errors.New("the registry's disk is full"), "make room on it")
	for i := range 230 {
		p.Problem(fmt.Sprintf("image%d", i), fmt.Errorf("blob: %w", full))
		if i == 7 {
			p.Problem("image\nx", errors.New("invalid reference"))
		}
	}
	p.Problem("last", Hint(errors.New("no space"), "make room on it"))
	p.Warn("%s: %v", "layer", fmt.Errorf("again: %w", full))
	p.Warn("%s: %v", "layer", fmt.Errorf("other: %w", Hint(errors.New("no key"), "name one")))
	p.Close()
	p.Close()
	want := "tool: image0: blob: the registry's disk is full\n" +
		"hint: make room on it\n" +
		"tool: image x: invalid reference\n" +
		"tool: last: no space\n" +
		"tool: layer: again: the registry's disk is full\n" +
		"tool: layer: other: no key\n" +
		"hint: name one\n" +
		"tool: 229 more: blob: the registry's disk is full\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
