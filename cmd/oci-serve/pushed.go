package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strings"

	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/registry"
)

const (
	// maxManifest bounds the manifest of a file, in bytes.
	maxManifest = 64 << 10
	// nameRows is how many names of repositories or tags are read at a time.
	nameRows = 1000
)

// pushedFiles are the files that oci-push has stored in the registry, each as an
// artifact.
type pushedFiles struct{ store registry.Store }

// pushedFile is a file in the registry.
type pushedFile struct {
	file
	repository string
	digest     registry.Digest
}

// open opens a file by its name.
func (p pushedFiles) open(ctx context.Context, name string) (io.ReadSeekCloser, registry.Digest, error) {
	found, err := p.find(ctx, name)
	if err != nil {
		return nil, "", err
	}
	c, err := p.store.Blob(ctx, found.repository, found.digest)
	if err != nil {
		return nil, "", err
	}
	content, err := c.Open()
	return content, c.Digest, err
}

// find returns a file by its name, whatever prefix it was pushed below.
func (p pushedFiles) find(ctx context.Context, name string) (pushedFile, error) {
	at := ref.ForFile(name)
	found, err := p.read(ctx, at.Repository, at.Tag)
	if err != nil || found.Name == name {
		return found, err
	}
	for repository, err := range p.repositories(ctx) {
		if err != nil {
			return pushedFile{}, err
		}
		if !strings.HasSuffix(repository, "/"+at.Repository) {
			continue
		}
		if found, err = p.read(ctx, repository, at.Tag); err != nil || found.Name == name {
			return found, err
		}
	}
	return pushedFile{}, noFile(name)
}

// list returns the files, at most maxListed.
func (p pushedFiles) list(ctx context.Context) (all []file, err error) {
	for repository, err := range p.repositories(ctx) {
		if err != nil {
			return nil, err
		}
		if !strings.Contains("/"+repository+"/", "/"+ref.FilesRepository+"/") {
			continue
		}
		tags := func(last string) ([]string, bool, error) { return p.store.Tags(ctx, repository, last, nameRows) }
		for tag, err := range registry.Each("", tags) {
			if err != nil {
				return nil, err
			}
			found, err := p.read(ctx, repository, tag)
			if err != nil {
				return nil, err
			}
			if found.Name != "" {
				all = append(all, found.file)
			}
			if len(all) == maxListed {
				return all, nil
			}
		}
	}
	return all, nil
}

func (p pushedFiles) repositories(ctx context.Context) iter.Seq2[string, error] {
	return registry.Each("", func(last string) ([]string, bool, error) { return p.store.Repositories(ctx, last, nameRows) })
}

// read returns the file that a tag holds, or none if there is no such tag or it
// holds something else.
func (p pushedFiles) read(ctx context.Context, repository, tag string) (pushedFile, error) {
	c, err := p.store.Manifest(ctx, repository, tag, "")
	if errors.Is(err, registry.ErrNameUnknown) || errors.Is(err, registry.ErrManifestUnknown) {
		return pushedFile{}, nil
	}
	if err != nil || c.Size > maxManifest {
		return pushedFile{}, err
	}
	text, err := c.All()
	if err != nil {
		return pushedFile{}, err
	}
	var m struct {
		ArtifactType string
		Layers       []struct {
			Digest string
			Size   int64
		}
		Annotations map[string]string
	}
	if json.Unmarshal(text, &m) != nil || m.ArtifactType != ref.FileArtifact || len(m.Layers) != 1 {
		return pushedFile{}, nil
	}
	name := m.Annotations[ref.FileNameKey]
	digest, err := ref.ParseDigest(m.Layers[0].Digest)
	if err != nil || digest.Algorithm() != "sha256" || ref.CheckFileName(name) != nil {
		return pushedFile{}, nil
	}
	_, sum, _ := strings.Cut(string(digest), ":")
	return pushedFile{file{name, m.Layers[0].Size, sum}, repository, digest}, nil
}
