package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/textfile"
)

// input is the content of the records and the list of images.
type input struct {
	registries []record.Registry
	pushed     []ref.Site               // where images were pushed
	images     []wantedImage            // that a mirror must have
	digests    map[ref.Reference]string // that they must have, by the last record
	version    string                   // of k0s, from the tool that extracted or found it; may be empty
}

// wantedImage is an image to request from a mirror.
type wantedImage struct {
	name  string        // its name for people
	image ref.Reference // Host is empty for one that is named by its path in the mirror
}

// readInput reads the list of images and the records on stdin, which it passes
// on. Records are optional.
func readInput(ctx context.Context, cfg *config, stdin io.Reader, records pipe.Reader) (*input, error) {
	in := &input{digests: make(map[ref.Reference]string)}
	switch cfg.images {
	case "":
	case "-":
		return in, in.readList("stdin", textfile.NewReader(pipe.Interruptible(ctx, stdin)))
	default:
		f, err := textfile.Open(cfg.images)
		if err != nil {
			return nil, cli.Misuse("--images: %w", err)
		}
		defer f.Close()
		if err := in.readList(cfg.images, textfile.NewReader(pipe.Interruptible(ctx, f))); err != nil {
			return nil, err
		}
	}
	if pipe.None(stdin) {
		return in, nil
	}
	records.Text = "to read a list of images from stdin, give --images -"
	for line, err := range records.Records(ctx, stdin) {
		if err != nil {
			return nil, err
		}
		if err := in.take(line); err != nil {
			return nil, fmt.Errorf("stdin: %w", err)
		}
	}
	return in, nil
}

// readList reads what `k0s airgap list-images` prints: a reference on each
// line. Empty lines and those that start with "#" are ignored.
func (in *input) readList(name string, r io.Reader) error {
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		i, err := k0s.Image(line)
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", name, n, err)
		}
		in.images = append(in.images, wantedImage{line, i})
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(in.images) == 0 { // the program that lists them has failed
		return fmt.Errorf("%s: no images in the list", name)
	}
	return nil
}

// take keeps the mirrors, images and k0s version in a record.
func (in *input) take(line record.Line) error {
	switch line.Kind {
	case (record.Registry{}).Kind():
		return decode(line, func(r record.Registry) { in.registries = append(in.registries, r) })
	case (record.Image{}).Kind():
		return decode(line, in.takeImage)
	case (record.Version{}).Kind():
		return decode(line, func(v record.Version) {
			if len(v.K0s) > 0 {
				in.version = cmp.Or(in.version, v.K0s[0])
			}
		})
	case (record.File{}).Kind():
		return decode(line, func(f record.File) {
			if f.Status != record.StatusFailed {
				in.version = cmp.Or(f.Version, in.version)
			}
		})
	}
	return nil
}

func decode[T record.Record](line record.Line, take func(T)) error {
	var r T
	err := line.Decode(&r)
	if err == nil {
		take(r)
	}
	return err
}

func (in *input) takeImage(i record.Image) {
	if at := pipe.At(i); at.Host != "" && !slices.Contains(in.pushed, at) {
		in.pushed = append(in.pushed, at)
	}
	if i.Repository != "" && i.Tag != "" {
		image := ref.Reference{Repository: i.Repository, Tag: i.Tag}
		in.images = append(in.images, wantedImage{i.Repository + ":" + i.Tag, image})
		in.digests[image] = i.Digest
	}
}
