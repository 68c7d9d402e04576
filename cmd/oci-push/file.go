package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
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
		fail := p.results.fail
		if _, damaged := errors.AsType[*bundle.DamageError](err); damaged {
			fail = p.results.failQuietly // the run's error is the same one
		}
		fail(it.record, err)
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
	config, mine := p.up.claim(it.record.Repository, desc.Digest, desc.Size)
	if mine {
		p.up.start(ctx, config, bytes.NewReader(raw), func() {})
	}
	it.blobs[desc.Digest], it.blobs[v1.Hash{}] = config, t
	g := p.gate
	return func() {
		<-t.done
		if t.err == nil {
			it.record.Digest = t.digest().String()
			it.image, it.err = oci.File(name, t.digest(), e.Size)
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
	case e.Size <= p.mem.most:
		return p.heldFile(ctx, repository, e)
	default:
		if have, there := p.registered(ctx, repository, rec.Tag, name, e.Size); there && rereadable(rec.Bundle) {
			return p.comparedFile(ctx, repository, have, e)
		}
		return p.streamedFile(ctx, repository, e)
	}
	if err != nil {
		return nil, err
	}
	if e.At == nil {
		err := p.passing(ctx, repository, oci.Blob{Digest: d, Size: e.Size, Reader: oci.Verify(e, d, e.Size)})
		return p.up.lookup(repository, d), err
	}
	t, mine := p.up.claim(repository, d, e.Size)
	if mine {
		p.up.start(ctx, t, io.NewSectionReader(e.At, 0, e.Size), func() {})
	}
	return t, nil
}

// heldFile reads a small file and begins to send it.
func (p *pusher) heldFile(ctx context.Context, repository string, e *bundle.Entry) (*transfer, error) {
	h := sha256.New()
	chunks, err := p.mem.hold(ctx, io.TeeReader(e, h), e.Size)
	if err != nil {
		p.mem.release(chunks)
		return nil, err
	}
	t, mine := p.up.claim(repository, hashOf(h), e.Size)
	if !mine {
		p.mem.release(chunks)
		return t, nil
	}
	p.up.start(ctx, t, &chunkBody{chunks: chunks, size: e.Size}, func() { p.mem.release(chunks) })
	return t, nil
}

// streamedFile sends a large file while it is hashed.
func (p *pusher) streamedFile(ctx context.Context, repository string, e *bundle.Entry) (*transfer, error) {
	h := sha256.New()
	f := newFlow(p.mem, e.Size)
	t := p.up.startHashed(ctx, repository, f, func() v1.Hash { return hashOf(h) })
	f.fill(ctx, io.TeeReader(e, h))
	return t, context.Cause(ctx)
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
			it.record.Status, it.record.Error, it.err = record.StatusFailed, err.Error(), err
			it.quiet = errors.Is(err, errUntrusted) || ctx.Err() != nil
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
