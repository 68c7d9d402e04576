package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// typeFile is the type of a record.Image that stands for a file until it is
// written as a record.File. Its digest is that of the file's content.
const typeFile = "file"

// isFile reports whether an entry is pushed as a file.
func isFile(e *bundle.Entry, names []record.Image) bool {
	if len(names) == 0 {
		return ref.IsFile(e.Path)
	}
	return names[0].Type == typeFile
}

// file pushes an entry that is a file for an HTTP server, as an artifact of its
// own, or writes it below --files. The error ends the run.
func (p *pusher) file(ctx context.Context, path string, e *bundle.Entry, names []record.Image) error {
	p.survey.wanted++
	f, err := oci.FileRecord(path, e.Path, e.Size)
	rec := record.Image{Bundle: path, Entry: e.Path, Repository: f.Repository, Tag: f.Tag, Size: e.Size, Type: typeFile}
	if len(names) > 0 {
		rec.Digest = names[0].Digest
	}
	if err == nil && p.files[f.Name] {
		err = fmt.Errorf("duplicate file name: another entry of this run is %s", f.Name)
	}
	if err != nil {
		p.results.fail(rec, err)
		return nil
	}
	p.files[f.Name] = true
	it := &item{record: rec, blobs: make(map[v1.Hash]*transfer), done: make(chan struct{})}
	do := p.sendFile
	if p.cfg.files != "" {
		do = p.writeFile
	}
	finish, err := do(ctx, it, f.Name, e)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		p.results.fail(it.record, err)
		return nil
	}
	p.results.add(it)
	p.up.wg.Go(func() {
		finish()
		close(it.done)
	})
	return nil
}

// sendFile begins to send a file to the registry. finish waits for that, and
// publishes the artifact.
func (p *pusher) sendFile(ctx context.Context, it *item, name string, e *bundle.Entry) (finish func(), err error) {
	it.record = p.named(it.record)
	if err := checkName(p.reg.Repository(it.record.Repository), it.record.Tag); err != nil {
		return nil, err
	}
	t, err := p.fileContent(ctx, it.record, name, e)
	if err != nil {
		return nil, err
	}
	desc, raw := oci.EmptyConfig()
	it.blobs[desc.Digest] = p.up.send(ctx, it.record.Repository, desc.Digest, desc.Size, bytes.NewReader(raw))
	it.blobs[v1.Hash{}] = t
	g := p.gate
	return func() {
		<-t.done
		if t.err == nil {
			it.record.Digest = t.key.digest.String()
			it.image, it.err = oci.File(name, t.key.digest, e.Size)
		}
		p.conclude(ctx, it, g)
	}, nil
}

// fileContent begins to send the content of a file. Without a digest from a
// record, a file that can be read twice is hashed first; any other is compared with
// that in the registry, or hashed while it is sent.
func (p *pusher) fileContent(ctx context.Context, rec record.Image, name string, e *bundle.Entry) (*transfer, error) {
	var d v1.Hash
	var err error
	repository := rec.Repository
	switch {
	case rec.Digest != "":
		d, err = v1.NewHash(rec.Digest)
	case e.At != nil:
		d, err = oci.Sum(ctx, io.NewSectionReader(e.At, 0, e.Size))
	case p.cfg.plan:
		d, err = oci.Sum(ctx, e)
	default:
		if have, there := p.registered(ctx, rec, name, e.Size); there {
			return p.comparedFile(ctx, rec, have, e)
		}
		return p.hashedFile(ctx, repository, e)
	}
	if err != nil {
		return nil, err
	}
	if e.At == nil {
		return p.verifiedFile(ctx, repository, d, e)
	}
	return p.up.send(ctx, repository, d, e.Size, io.NewSectionReader(e.At, 0, e.Size)), nil
}

// verifiedFile begins to send a file whose digest is known.
func (p *pusher) verifiedFile(ctx context.Context, repository string, d v1.Hash, e *bundle.Entry) (*transfer, error) {
	err := p.passing(ctx, repository, oci.Blob{Digest: d, Size: e.Size, Reader: oci.Verify(e, d, e.Size)})
	return p.up.lookup(repository, d), err
}

// hashedFile reads a file and hashes it: before it is sent or, if it does not
// fit in memory, meanwhile.
func (p *pusher) hashedFile(ctx context.Context, repository string, e *bundle.Entry) (*transfer, error) {
	h, f := sha256.New(), newFlow(p.mem, e.Size)
	content := io.TeeReader(e, h)
	if e.Size > p.mem.most {
		t := p.up.startHashed(ctx, repository, f, func() v1.Hash { return hashOf(h) })
		f.fill(ctx, content)
		return t, context.Cause(ctx)
	}
	if err := f.fill(ctx, content); err != nil {
		f.Close()
		return nil, err
	}
	return p.up.send(ctx, repository, hashOf(h), e.Size, f), nil
}

func hashOf(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", h.Sum(nil))}
}

// writeFile writes a file below --files. It appears under its name only when
// finish has found that its bundle is trusted.
func (p *pusher) writeFile(ctx context.Context, it *item, name string, e *bundle.Entry) (finish func(), err error) {
	it.record.Repository, it.record.Tag = "", ""
	it.written = &record.File{Path: filepath.Join(p.cfg.files, filepath.FromSlash(name)), Status: record.StatusPlanned}
	want := it.record.Digest
	if p.cfg.plan {
		d, err := oci.Sum(ctx, e)
		it.record.Digest, it.record.Status = d.String(), record.StatusPlanned
		return func() {}, err
	}
	f, err := hostfile.Create(it.written.Path, 0o644)
	if err != nil {
		return nil, err
	}
	d, err := oci.Sum(ctx, io.TeeReader(e, f))
	if it.record.Digest = d.String(); err == nil && want != "" && want != d.String() {
		err = fmt.Errorf("has digest %s, not %s as in its record: the bundle has changed since it was listed", d, want)
	}
	if err != nil {
		f.Abort()
		return nil, err
	}
	g := p.gate
	return func() {
		defer f.Abort()
		err := g.pass(ctx)
		if err == nil {
			*it.written, err = f.Commit()
			it.record.Status = it.written.Status
		}
		if err != nil {
			it.fail(ctx, err)
		}
	}, nil
}

// fileRecord returns the record of a file, given what stands for it.
func fileRecord(rec record.Image, written *record.File) record.File {
	f, _ := oci.FileRecord(rec.Bundle, rec.Entry, rec.Size)
	if f.Repository, f.Tag = rec.Repository, rec.Tag; written != nil {
		f.Path, f.Mode = written.Path, written.Mode
	}
	f.Digest, f.Status, f.Error = rec.Digest, rec.Status, rec.Error
	f.Registry, f.Prefix, f.Reference = rec.Registry, rec.Prefix, rec.Reference
	return f
}
