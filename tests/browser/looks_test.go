package browser

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "write the pictures that the page is compared with")

const (
	// channelLimit is by how much a colour may differ from the committed one, of
	// 255: letters are smoothed differently by another version of the browser.
	channelLimit = 64
	// pixelLimit is the share of pixels that may differ by more. The fingerprint
	// and the free space differ in each run.
	pixelLimit = 0.01
)

// looks compares pictures with committed ones: at two widths, in both themes.
func looks(t *testing.T, s *site) {
	if _, err := os.Stat(filepath.Join(fontDir, "DejaVuSansMono.ttf")); err != nil {
		skip(t, "%v (the package fonts-dejavu-core brings it)", err)
	}
	b := s.open()
	for _, page := range []struct{ name, path string }{
		{"list", "/?n=12"},
		{"tag", "/?repository=k0rdent-enterprise/busybox"},
	} {
		for _, size := range []struct{ width, height int64 }{{360, 740}, {1280, 860}} {
			for _, theme := range []string{"light", "dark"} {
				name := fmt.Sprintf("%s-%d-%s.png", page.name, size.width, theme)
				b.view(size.width, size.height, theme)
				b.visit(page.path)
				if wide := ask[int64](b, `document.documentElement.scrollWidth`); wide > size.width {
					t.Errorf("%s: %d pixels wide", name, wide)
				}
				text, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
				if err != nil {
					t.Fatal(err)
				}
				compare(t, name, text)
			}
		}
	}
	b.quiet()
}

// file returns where a picture is committed. The README shows one of them.
func file(name string) string {
	if name == "list-1280-light.png" {
		return filepath.Join(root, "docs", "page.png")
	}
	return filepath.Join("testdata", name)
}

func compare(t *testing.T, name string, text []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file(name), text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file(name))
	if err != nil {
		t.Fatal(err)
	}
	share, err := difference(text, want)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	t.Logf("%s: %.2f %% of the pixels differ", name, 100*share)
	if share > pixelLimit {
		t.Errorf("%s: %.2f %% of the pixels differ, want at most %.0f %%; go test -update ./... in tests/browser renews it", name, 100*share, 100*pixelLimit)
	}
}

// difference returns the share of pixels that differ.
func difference(a, b []byte) (float64, error) {
	x, err := png.Decode(bytes.NewReader(a))
	if err != nil {
		return 0, err
	}
	y, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	if x.Bounds() != y.Bounds() {
		return 0, fmt.Errorf("its size is %v, want %v", x.Bounds(), y.Bounds())
	}
	n := 0
	for i := range x.Bounds().Dx() {
		for j := range x.Bounds().Dy() {
			if differs(x, y, i, j) {
				n++
			}
		}
	}
	return float64(n) / float64(x.Bounds().Dx()*x.Bounds().Dy()), nil
}

func differs(x, y image.Image, i, j int) bool {
	r, g, b, _ := x.At(i, j).RGBA()
	s, h, c, _ := y.At(i, j).RGBA()
	for _, pair := range [][2]uint32{{r, s}, {g, h}, {b, c}} {
		if max(pair[0], pair[1])>>8-min(pair[0], pair[1])>>8 > channelLimit {
			return true
		}
	}
	return false
}

// The comparison sees a theme, a moved line and a missing word.
func TestDifference(t *testing.T) {
	read := func(name string) []byte {
		text, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	light := read("list-360-light.png")
	if share, err := difference(light, light); err != nil || share != 0 {
		t.Errorf("a picture differs from itself by %v, %v", share, err)
	}
	for _, other := range []string{"list-360-dark.png", "tag-360-light.png"} {
		if share, err := difference(light, read(other)); err != nil || share <= pixelLimit {
			t.Errorf("%s differs by %v, %v; want more than %v", other, share, err, pixelLimit)
		}
	}
	if _, err := difference(light, read("list-1280-light.png")); err == nil {
		t.Error("pictures of two sizes were compared")
	}
}
