package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

// What the build was told with -ldflags "-X main.Flavor=...": which it is,
// which k0s it carries, and when it was made.
var (
	Flavor     = "plain"
	K0sVersion string
	BuildTime  string
)

// embedded is the k0s in this program, and the file record that k0s-extract
// itself wrote about it when it was put in.
type embedded struct {
	program string // a string's bytes stay in the file, and are read as needed
	about   []byte
}

func (e embedded) there() bool { return e.program != "" }

// errPlain is told by a build without a k0s in it.
var errPlain = fmt.Errorf("this build carries no k0s (its flavor is %s)", Flavor)

// meta reads what was noted about the k0s.
func (e embedded) meta() (r record.File, err error) {
	if !e.there() {
		return r, cli.Hint(errPlain, "make build-airgap K0S=FILE builds one that does; name a bundle, or give --from FILE or --from HOST/.../k0sproject/k0s:TAG")
	}
	if err := json.Unmarshal(e.about, &r); err != nil {
		return r, fmt.Errorf("embedded k0s: %w", err)
	}
	return r, nil
}

// describe prints the flavor of this build, one property a line.
func (e embedded) describe(w io.Writer) error {
	text := "flavor " + Flavor + "\n"
	if e.there() {
		r, err := e.meta()
		if err != nil {
			return err
		}
		text += fmt.Sprintf("k0s %s\nplatform %s\ndigest %s\nbuilt %s\n", K0sVersion, r.Platform, r.Digest, BuildTime)
	}
	_, err := io.WriteString(w, text)
	return err
}

// fromSelf takes the k0s that this program carries.
func (w *wish) fromSelf(ctx context.Context, e embedded) ([]found, error) {
	r, err := e.meta()
	if err != nil {
		return nil, err
	}
	v, err := k0s.ParseVersion(r.Version)
	if err != nil {
		return nil, fmt.Errorf("embedded k0s: %w", err)
	}
	if w.version != nil && w.version.Compare(v) != 0 {
		return nil, fmt.Errorf("embedded k0s: it is %s, not %s", v, w.version)
	}
	want := w.platforms[0]
	if want.String() != r.Platform {
		return nil, fmt.Errorf("embedded k0s: it is for %s, not for %s", r.Platform, want)
	}
	out := w.sink(&v, want)
	sum := sha256.New()
	if err := copyFrom(ctx, io.MultiWriter(out, sum), strings.NewReader(e.program)); err != nil {
		out.drop()
		return nil, err
	}
	if got := fmt.Sprintf("sha256:%x", sum.Sum(nil)); got != r.Digest {
		out.drop()
		return nil, fmt.Errorf("embedded k0s: its digest is %s, and was %s when it was put in: this program is damaged", got, r.Digest)
	}
	return []found{{version: &v, platform: want, source: "embedded", sink: out}}, nil
}
