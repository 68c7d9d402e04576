package browser

import (
	"bytes"
	"image"
	"image/png"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPicturesElsewhere renders the pictures with a program that knows neither
// CSS variables nor animations, as file managers, wikis and printers do: boxes
// have light colours, and the recording shows text.
func TestPicturesElsewhere(t *testing.T) {
	if _, err := exec.LookPath("rsvg-convert"); err != nil {
		skip(t, "%v (tests/setup.sh brings it)", err)
	}
	dark := func(r, g, b uint32) bool { return r+g+b < 3*0x5000 }
	for _, c := range []struct {
		file     string
		min, max float64 // the share of dark pixels
	}{
		{"pipeline.svg", 0.01, 0.2},
		{"demo.svg", 0.5, 0.97},
	} {
		out, err := exec.Command("rsvg-convert", "--background-color=white", "--width=800", filepath.Join(root, "docs", c.file)).Output()
		if err != nil {
			t.Fatalf("rsvg-convert %s: %v", c.file, err)
		}
		picture, err := png.Decode(bytes.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		if got := share(picture, dark); got < c.min || got > c.max {
			t.Errorf("%s: %.3f of the pixels are dark, want %v to %v", c.file, got, c.min, c.max)
		}
	}
}

// share returns the share of the pixels that are as wanted.
func share(picture image.Image, wanted func(r, g, b uint32) bool) float64 {
	size, n := picture.Bounds(), 0
	for y := size.Min.Y; y < size.Max.Y; y++ {
		for x := size.Min.X; x < size.Max.X; x++ {
			if r, g, b, _ := picture.At(x, y).RGBA(); wanted(r, g, b) {
				n++
			}
		}
	}
	return float64(n) / float64(size.Dx()*size.Dy())
}
