package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

// Set at build time with -ldflags "-X main.Flavor=...": the flavor, the embedded
// k0s version, and the build time.
var (
	Flavor     = "plain"
	K0sVersion string
	BuildTime  string
)

// embedded is the k0s in this program, and the file record that k0s-extract
// wrote when it was embedded.
type embedded struct {
	program string // a string stays in the executable and is paged in as needed
	about   []byte
}

func (e embedded) there() bool { return e.program != "" }

// errPlain is the error of a build without k0s.
var errPlain = fmt.Errorf("this build does not include k0s (flavor %s)", Flavor)

// meta parses the record of the embedded k0s.
func (e embedded) meta() (r record.File, err error) {
	if !e.there() {
		return r, cli.Hint(errPlain, "name a bundle, or use --from FILE or --from HOST/.../k0sproject/k0s:TAG; \"make build-airgap K0S=FILE\" builds k0s-extract with k0s included")
	}
	if err := json.Unmarshal(e.about, &r); err != nil {
		return r, fmt.Errorf("embedded k0s: %w", err)
	}
	return r, nil
}

// describe returns the flavor of this build, one property per line.
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

// fromSelf uses the k0s embedded in this program.
func (w *request) fromSelf(ctx context.Context, e embedded) ([]found, error) {
	r, err := e.meta()
	if err != nil {
		return nil, err
	}
	v, err := k0s.ParseVersion(r.Version)
	if err != nil {
		return nil, fmt.Errorf("embedded k0s: %w", err)
	}
	if w.version != nil && w.version.Compare(v) != 0 {
		return nil, fmt.Errorf("embedded k0s: version is %s, not %s", v, w.version)
	}
	if want := w.platforms[0].String(); want != r.Platform {
		return nil, fmt.Errorf("embedded k0s: built for %s, not for %s", r.Platform, want)
	}
	got, err := w.copied(ctx, strings.NewReader(e.program), &v, "embedded")
	if err != nil {
		return nil, err
	}
	if sum := got[0].sink.digest(); sum != r.Digest {
		drop(got)
		return nil, fmt.Errorf("embedded k0s: digest mismatch: got %s, want %s: this program is damaged", sum, r.Digest)
	}
	return got, nil
}
