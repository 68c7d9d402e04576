package record

import (
	"bytes"
	"strings"
	"testing"
)

// The last tool of a pipeline shows on a terminal what a person would miss of
// the others' records. Programs get each record as it was.
func TestNewsOfOtherTools(t *testing.T) {
	const digest = "sha256:ebeca334e475000000000000000000000000000000000000000000000000000"
	records := []string{
		`{"kind":"bundle","path":"/media/b.tgz","size":83803,"digest":"` + digest + `","signature":"good","key":"sha256:ab"}`,
		`{"kind":"bundle","path":"/media/b.tgz","size":83803,"digest":"` + digest + `","signature":"bad","key":"sha256:ab"}`,
		`{"kind":"bundle","path":"-","size":1,"digest":"` + digest + `","signature":"none"}`,
		`{"kind":"bundle","path":"/media/b.tgz","signature":"unknown","error":"no such key"}`,
		`{"kind":"bundle","path":"/media/b.tgz"}`,
		`{"kind":"bundle","path":"/a\u001b[2J","size":1,"digest":"sha256:1","signature":"good","key":"k"}`,
		`{"kind":"version","bundle":"/media/b.tgz","name":"k0rdent-enterprise","version":"1.2.3","k0s":["v1.32.8+k0s.0"]}`,
		`{"kind":"image","repository":"a","tag":"1"}`,
		`{"kind":"summary","tool":"bundle-ls","counts":{"image":3}}`,
		`{"kind":"summary","tool":"oci-push","counts":{"failed":2,"pushed":61},"seconds":1}`,
		`{"kind":"bundle","path":1}`,
		`{"kind":"note","text":"x"}`,
	}
	const want = `good: b.tgz is what the owner of the key signed
bad: b.tgz is not what the owner of the key signed
good: stdin has the digest that was given
good: a?[2J is what the owner of the key signed
k0rdent-enterprise 1.2.3, k0s v1.32.8+k0s.0
oci-push: 2 failed; 61 pushed in 1.0 s
`
	all := strings.Join(records, "\n") + "\n"
	for _, c := range []struct {
		format      string
		screen      bool
		out, beside string
	}{
		{"auto", true, want, want},
		{"table", true, want, want},
		{"json", true, all, want},
		{"{{.version}}", true, "", want},
		{"auto", false, all, want},
		{"table", false, "", want},
	} {
		f := NewFormat(Version{})
		if err := f.Set(c.format); err != nil {
			t.Fatal(err)
		}
		var out, beside bytes.Buffer
		w := NewWriter(&out, f)
		if c.screen {
			w = NewScreenWriter(&out, f, Screen{Width: func() int { return 100 }, Mark: func(s string) string { return s }})
		}
		w.Aside(&beside)
		for line, err := range Read(strings.NewReader(all)) {
			if err == nil {
				err = w.Pass(line)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if out.String() != c.out || beside.String() != c.beside {
			t.Errorf("%s, terminal %v: wrote %q and aside %q, want %q and %q", c.format, c.screen, out.String(), beside.String(), c.out, c.beside)
		}
	}
}
