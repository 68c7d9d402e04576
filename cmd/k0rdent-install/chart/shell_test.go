package chart

import (
	"fmt"
	"strings"
	"testing"
)

// TestScript checks which commands a line runs, and its status or its error. Only the
// command "no" fails.
func TestScript(t *testing.T) {
	for line, want := range map[string]string{
		"":                                  " 0",
		"a b":                               "a,b 0",
		"a; b":                              "a b 0",
		"a;\nb\n":                           "a b 0",
		"no && a || b":                      "no b 0",
		"! no && a":                         "no a 0",
		"if no; then a; elif b; then c; fi": "no b c 0",
		"if no; then a; else no; b; fi":     "no no b 0",
		"if a; then no; fi; b":              "a no b 0",
		`a 'b  c' "d $e" ''`:                "unknown variable $e",
		`e=1; a 'b $e' "c ${e}2" $e '' \$e`: "a,b $e,c 12,1,,$e 0",
		`e="x y" f=2; a "$e" "$f"`:          "a,x y,2 0",
		"a # b":                             "a 0",
		"a # b\nc":                          "a c 0",
		"no && e=1; a $e":                   "unknown variable $e",
		"'if' a":                            "if,a 0",
		"a then":                            "a,then 0",
		"sudo sh -c 'no' || true":           "sudo,sh,-c,no 0",
		"for x in a; do b; done":            `"for" is not supported`,
		"a > b":                             `">" is not supported`,
		"a | b":                             `"|" is not supported`,
		"a &":                               `"&" is not supported`,
		"a `b`":                             "\"`\" is not supported",
		"a \"`b`\"":                         "\"`\" is not supported",
		"(a)":                               `"(" is not supported`,
		"a $(b)":                            `"$(" is not supported`,
		`a "$(b)"`:                          `"$(" is not supported`,
		"a ${e":                             "unknown variable $e",
		"if a; then b":                      "unexpected end",
		"if a; b; fi":                       `"fi" is not supported`,
		"fi":                                `"fi" is not supported`,
		"a &&":                              "unexpected end",
		";a":                                `";" is not supported`,
		"a 'b":                              "unterminated quote",
		`a "b`:                              "unterminated quote",
	} {
		var ran []string
		status, err := runScript(line, func(argv []string) int {
			ran = append(ran, strings.Join(argv, ","))
			if argv[0] == "no" {
				return 1
			}
			return 0
		})
		got := fmt.Sprintf("%s %d", strings.Join(ran, " "), status)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}
