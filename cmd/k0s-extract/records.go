package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

// errNoBundle is the error of a run without input.
var errNoBundle = errors.New("stdin: no record names a bundle")

// isNothing reports whether the records were valid but named nothing to read.
func isNothing(err error) bool { return errors.Is(err, errNoBundle) || errors.Is(err, errNoImage) }

var errNoImage = errors.New("stdin: no image record names " + repository)

// readRecords reads all records and passes them on. Bundle, version and image
// records name bundles; image records also say which entry of a bundle holds
// k0s. It reads to the end before any bundle is opened, since the last record
// may say that the signature is bad.
func readRecords(ctx context.Context, in pipe.Reader, stdin io.Reader) ([]*bundleRequest, error) {
	if err := cli.CheckStdin(stdin); err != nil {
		return nil, err
	}
	var all []*bundleRequest
	at := func(path string) *bundleRequest {
		for _, b := range all {
			if b.Path == path {
				return b
			}
		}
		all = append(all, &bundleRequest{Bundle: pipe.Bundle{Path: path}})
		return all[len(all)-1]
	}
	for line, err := range in.Records(ctx, stdin) {
		if err == nil {
			err = note(line, at)
		}
		if err != nil {
			return nil, err
		}
	}
	var with []*bundleRequest
	for _, b := range all {
		if b.images == nil || len(b.images) > 0 {
			with = append(with, b)
		}
	}
	switch {
	case len(all) == 0:
		return nil, cli.Hint(errNoBundle, "pipe records of bundle-verify, bundle-version or bundle-ls here, or name the bundle: k0s-extract BUNDLE")
	case len(with) == 0:
		return nil, errNoImage
	}
	return with, nil
}

// note processes one record.
func note(line record.Line, at func(path string) *bundleRequest) error {
	switch line.Kind {
	case record.Bundle{}.Kind():
		var b record.Bundle
		if err := decode(line, &b, &b.Path); err != nil {
			return err
		}
		of := at(b.Path)
		of.Digest = cmp.Or(b.Digest, of.Digest)
	case record.Version{}.Kind():
		var v record.Version
		if err := decode(line, &v, &v.Bundle); err != nil {
			return err
		}
		b := at(v.Bundle)
		for _, text := range v.K0s {
			if n, err := k0s.ParseVersion(text); err == nil && (b.newest == nil || n.Compare(*b.newest) > 0) {
				b.newest = &n
			}
		}
	case record.Image{}.Kind():
		var i record.Image
		if err := line.Decode(&i); err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
		if i.Bundle == "" { // copied from a registry
			return nil
		}
		if err := pipe.CheckPath(line, i.Bundle); err != nil {
			return err
		}
		b := at(i.Bundle)
		if b.images == nil {
			b.images = make(map[string]image)
		}
		if _, err := k0s.ParseVersion(i.Tag); err != nil && b.images[i.Entry] != (image{}) {
			return nil // its signature, in the same archive
		}
		if i.Entry != "" && isK0s(i) {
			b.images[i.Entry] = image{i.Tag, i.Digest}
		}
	}
	return nil
}

// isK0s reports whether an image is k0s's, by its repository, which may be below
// a prefix.
func isK0s(i record.Image) bool { return strings.HasSuffix("/"+i.Repository, "/"+repository) }

// decode parses a record and checks the bundle that it names.
func decode(line record.Line, r any, path *string) error {
	if err := line.Decode(r); err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	return pipe.CheckPath(line, *path)
}
