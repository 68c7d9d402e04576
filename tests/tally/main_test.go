package main

import (
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	const pass = `{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p"}
`
	tests := []struct {
		name, in string
		strict   bool
		want     []string // parts of the output
		good     bool
	}{
		{name: "nothing ran", in: "hello\n", want: []string{"hello\n", "\n0 passed, 0 failed\n"}},
		{name: "passing test is silent", in: pass, want: []string{"\n1 passed, 0 failed\n"}, good: true},
		{name: "a failure shows its log", in: strings.ReplaceAll(pass, `"pass"`, `"fail"`), want: []string{"chatter\n", "FAIL p A\n", "0 passed, 1 failed\n"}},
		{name: "broken build", in: pass + `{"ImportPath":"q","Action":"build-output","Output":"q.go:1: oops\n"}` + "\n" + `{"ImportPath":"q","Action":"build-fail"}` + "\n",
			want: []string{"q.go:1: oops", "FAIL build of q", "1 passed, 1 failed\n"}},
		{name: "a package that dies outside its tests", in: `{"Action":"fail","Package":"p"}` + "\n", want: []string{"FAIL p\n", "0 passed, 1 failed\n"}},
		{name: "TAP", in: "1..3\nok 1 a\nnot ok 2 b\nok 3 c # skip no zsh\n", want: []string{"1 passed, 1 failed, 1 skipped\n"}},
		{name: "counts of a part", in: "ok 1 a\n30 passed, 0 failed, 2 skipped\n4 passed, 0 failed\n", want: []string{"\n# 30 passed", "\n35 passed, 0 failed, 2 skipped\n"}, good: true},
		{name: "a skip is reported", in: "ok 1 a\nok 2 c # skip no zsh\n", want: []string{"\n\nok 2 c # skip no zsh\n"}, good: true},
		{name: "a skip fails a strict run", in: "ok 1 a\nok 2 c # skip no zsh\n", strict: true},
		{name: "Go skip", in: strings.Replace(pass, `"pass"`, `"skip"`, 1) + "ok - x\n", want: []string{"chatter", "skipped p A", "1 passed, 0 failed, 1 skipped\n"}, good: true},
		{name: "no line end", in: "ok 1 a", want: []string{"1 passed, 0 failed\n"}, good: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			ta := newTally(&out)
			if err := ta.read(strings.NewReader(tt.in)); err != nil {
				t.Fatal(err)
			}
			if good := ta.close(tt.strict); good != tt.good {
				t.Errorf("good = %v, want %v", good, tt.good)
			}
			for _, w := range tt.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("output lacks %q:\n%s", w, out.String())
				}
			}
			if tt.good && strings.Contains(out.String(), "chatter") && !strings.Contains(tt.in, "skip") {
				t.Errorf("a passing test's log is shown:\n%s", out.String())
			}
		})
	}
}
