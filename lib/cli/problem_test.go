package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A problem of every image of a bundle must not push another problem off the
// screen, and its hint must be visible.
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

// The same problem of many blobs is one line, and its hint is not repeated by the
// error that ends the run.
func TestProblemsOfDigestsAndTheLastError(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress("tool", &out, true)
	refused := Hint(errors.New("registry answered 403 Forbidden"), "log in")
	for i := range 3 {
		p.Problem("image", fmt.Errorf("blob sha256:%064d: %w", i, refused))
		p.Problem("image", fmt.Errorf("registry has 2 bytes, not %d bytes", 10*i))
	}
	p.Close()
	last := p.Final(fmt.Errorf("registry: %w", refused))
	Report(&out, "tool", last)
	Report(&out, "tool", p.Final(Hint(errors.New("other"), "do that")))
	Report(&out, "tool", p.Final(nil))
	want := "tool: image: blob sha256:" + strings.Repeat("0", 64) + ": registry answered 403 Forbidden\nhint: log in\n" +
		"tool: image: registry has 2 bytes, not 0 bytes\n" +
		"tool: 2 more: blob ...: registry answered 403 Forbidden\n" +
		"tool: 2 more: registry has ... bytes, not ... bytes\n" +
		"tool: registry: registry answered 403 Forbidden\n" +
		"tool: other\nhint: do that\n"
	if out.String() != want || HintOf(last) != "log in" || !errors.Is(last, refused) {
		t.Errorf("got\n%s(hint %q)\nwant\n%s", out.String(), HintOf(last), want)
	}
}
