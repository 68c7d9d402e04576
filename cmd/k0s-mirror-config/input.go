package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/textfile"
)

// input is what the records and the list of images say.
type input struct {
	registries []record.Registry
	pushed     []record.Image // that name where they were sent
	images     []asked        // that a mirror must have
	version    string         // of k0s, from who extracted or found it; may be empty
}

// asked is an image that a mirror is asked for.
type asked struct {
	name  string    // as people know it
	image k0s.Image // Host is empty for one that is named by its place in the mirror
}

// readInput reads the list of images and the records on stdin, which it passes
// on. A terminal is not waited for: nothing on stdin is needed.
func readInput(ctx context.Context, cfg *config, stdin io.Reader, out *record.Writer) (*input, error) {
	type result struct {
		in  *input
		err error
	}
	done := make(chan result, 1)
	go func() { // ends with stdin, or with the program
		in := new(input)
		err := in.read(cfg, stdin, out)
		done <- result{in, err}
	}()
	select {
	case got := <-done:
		return got.in, got.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (in *input) read(cfg *config, stdin io.Reader, out *record.Writer) error {
	switch cfg.images {
	case "":
	case "-":
		return in.readList("stdin", textfile.NewReader(stdin))
	default:
		f, err := textfile.Open(cfg.images)
		if err != nil {
			return cli.Misuse("--images: %w", err)
		}
		defer f.Close()
		if err := in.readList(cfg.images, f); err != nil {
			return err
		}
	}
	if cli.CheckStdin(stdin) != nil {
		return nil
	}
	for line, err := range record.Read(stdin) {
		if err != nil {
			err = fmt.Errorf("stdin: %w", err)
			if errors.Is(err, record.ErrNotRecord) {
				err = cli.Hint(err, "a list of images is read from stdin with --images -")
			}
			return err
		}
		if err := out.Pass(line); err != nil {
			return err
		}
		if err := in.take(line); err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
	}
	return nil
}

// readList reads what `k0s airgap list-images` prints: a reference on each
// line. Empty lines and those that start with "#" mean nothing.
func (in *input) readList(name string, r io.Reader) error {
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		i, err := k0s.ParseImage(line)
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", name, n, err)
		}
		in.images = append(in.images, asked{line, i})
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// take keeps what a record says of mirrors, images and k0s.
func (in *input) take(line record.Line) error {
	switch line.Kind {
	case (record.Bundle{}).Kind():
		var b record.Bundle
		if err := line.Decode(&b); err != nil {
			return err
		}
		if b.Signature == record.SignatureBad {
			return fmt.Errorf("bundle %s: its signature is bad", b.Path)
		}
	case (record.Registry{}).Kind():
		var r record.Registry
		if err := line.Decode(&r); err != nil {
			return err
		}
		in.registries = append(in.registries, r)
	case (record.Image{}).Kind():
		var i record.Image
		if err := line.Decode(&i); err != nil {
			return err
		}
		in.takeImage(i)
	case (record.Version{}).Kind():
		var v record.Version
		if err := line.Decode(&v); err != nil {
			return err
		}
		if len(v.K0s) > 0 && in.version == "" {
			in.version = v.K0s[0]
		}
	case (record.File{}).Kind():
		var f record.File
		if err := line.Decode(&f); err != nil {
			return err
		}
		if f.Version != "" && f.Status != record.StatusFailed {
			in.version = f.Version
		}
	}
	return nil
}

func (in *input) takeImage(i record.Image) {
	if i.Registry != "" && i.Reference != "" && i.Tag != "" {
		in.pushed = append(in.pushed, record.Image{Registry: i.Registry, Repository: i.Repository, Tag: i.Tag, Reference: i.Reference})
	}
	if i.Repository != "" && i.Tag != "" {
		in.images = append(in.images, asked{i.Repository + ":" + i.Tag, k0s.Image{Repository: i.Repository, Reference: i.Tag}})
	}
}
