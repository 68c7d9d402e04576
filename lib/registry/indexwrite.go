package registry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// sameIndex reports whether a repository's index.json is up to date.
func (d *Disk) sameIndex(ctx context.Context, name string) (bool, error) {
	f, err := d.tree.root.Open(repoPath(name, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	w := &comparer{with: bufio.NewReader(f)}
	if err := d.index(ctx, name, w); err != nil {
		return false, err
	}
	_, err = w.with.ReadByte()
	return !w.differs && err == io.EOF, nil
}

// comparer reports whether what is written differs from what it is compared with.
type comparer struct {
	with    *bufio.Reader
	differs bool
}

func (c *comparer) Write(p []byte) (int, error) {
	there := make([]byte, len(p))
	if !c.differs {
		_, err := io.ReadFull(c.with, there)
		c.differs = err != nil || !bytes.Equal(there, p)
	}
	return len(p), nil
}

// writeIndex replaces a repository's index.json, and makes its layout one that
// other programs know.
func (d *Disk) writeIndex(name string) error {
	if !d.hasRepo(name) { // removed by a collection of garbage
		return nil
	}
	if there, err := d.tree.exists(repoPath(name, "oci-layout")); err != nil || !there {
		if err := d.replaceFile(repoPath(name, "oci-layout"), func(w io.Writer) error {
			_, err := io.WriteString(w, layoutText)
			return err
		}); err != nil {
			return err
		}
	}
	return d.replaceFile(repoPath(name, "index.json"), func(w io.Writer) error {
		return d.index(context.Background(), name, w)
	})
}

// replaceFile replaces a file that can be made again at any time: readers see
// the old or the new one, and nothing is synced.
func (d *Disk) replaceFile(name string, write func(io.Writer) error) (err error) {
	f, temp, err := d.tempFile()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(storageError(err), d.tree.remove(temp))
		}
	}()
	out := bufio.NewWriterSize(d.tree.writer(f, temp), 64<<10)
	err = write(out)
	if err == nil {
		err = out.Flush()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = d.tree.rename(temp, name)
	}
	return err
}

// index writes what index.json is to say: an entry for each tag, and one for
// each manifest without a tag.
func (d *Disk) index(ctx context.Context, name string, w io.Writer) error {
	ix := &indexWriter{w: w, separator: "\n"}
	for _, algorithm := range algorithms {
		for i, dir := range []string{"manifests/", "blobs/"} {
			o, err := d.tree.openDir(repoPath(name, dir+algorithm))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			defer o.close()
			if i == 0 {
				ix.manifests[indexOf(algorithm)] = o
			} else {
				ix.blobs[indexOf(algorithm)] = o
			}
		}
	}
	if _, err := io.WriteString(w, `{"schemaVersion":2,"mediaType":"`+mediaTypeIndex+`","manifests":[`); err != nil {
		return err
	}
	if err := d.indexTags(ctx, name, ix); err != nil {
		return err
	}
	if err := d.indexUntagged(ctx, name, ix); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n]}\n")
	return err
}

func indexOf(algorithm string) int { return slices.Index(algorithms, algorithm) }

func (d *Disk) indexTags(ctx context.Context, name string, ix *indexWriter) error {
	tags, err := d.tree.openDir(tagsPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer tags.close()
	for last, more := "", true; more; {
		var page []string
		if page, more, err = d.namesIn(ctx, tagsPath(name), last, noLimit); err != nil {
			return err
		}
		for _, tag := range page {
			last = tag
			target, err := tags.readlink(tag)
			if err != nil {
				return err
			}
			digest, err := tagDigest(target)
			if err != nil || !ValidTag(tag) { // deleted since, or not this program's
				continue
			}
			if err := ix.entry(digest, tag); err != nil {
				return err
			}
		}
	}
	slices.Sort(ix.tagged)
	return nil
}

func (d *Disk) indexUntagged(ctx context.Context, name string, ix *indexWriter) error {
	for _, algorithm := range algorithms {
		for last, more := "", true; more; {
			var page []string
			var err error
			if page, more, err = d.namesIn(ctx, repoPath(name, "manifests/"+algorithm), last, noLimit); err != nil {
				return err
			}
			for _, hex := range page {
				last = hex
				digest, err := ParseDigest(algorithm + ":" + hex)
				if err != nil {
					continue // not this program's
				}
				if _, tagged := slices.BinarySearch(ix.tagged, shortDigest(digest)); tagged {
					continue
				}
				if err := ix.entry(digest, ""); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// indexWriter writes the entries of an index.json.
type indexWriter struct {
	w                io.Writer
	manifests, blobs [2]*openDir // by algorithm; nil if there are none
	tagged           []uint64    // short digests of what has a tag
	separator        string
	line             []byte
}

// shortDigest stands for a digest where only accidents would make two the same,
// and would do no more than leave an entry without a tag out of index.json.
func shortDigest(digest Digest) uint64 {
	_, hex, _ := strings.Cut(string(digest), ":")
	var b [8]byte
	for i := range b {
		n, _ := strconv.ParseUint(hex[2*i:2*i+2], 16, 8) // the form of a Digest
		b[i] = byte(n)
	}
	return binary.BigEndian.Uint64(b[:])
}

// entry writes the descriptor of a manifest, if it is there. Digests and tags
// hold nothing that JSON would escape.
func (ix *indexWriter) entry(digest Digest, tag string) error {
	algorithm, hex, _ := strings.Cut(string(digest), ":")
	manifests, blobs := ix.manifests[indexOf(algorithm)], ix.blobs[indexOf(algorithm)]
	if manifests == nil || blobs == nil {
		return nil
	}
	mediaType, err := manifests.readlink(hex)
	if err != nil || mediaType == "" {
		return err
	}
	size, err := blobs.size(hex)
	if err != nil || size < 0 {
		return err
	}
	quoted, err := json.Marshal(mediaType)
	if err != nil {
		return err
	}
	b := append(ix.line[:0], ix.separator...)
	b = append(append(append(b, `{"mediaType":`...), quoted...), `,"digest":"`...)
	b = strconv.AppendInt(append(append(b, digest...), `","size":`...), size, 10)
	if tag != "" {
		b = append(append(append(b, `,"annotations":{"`+annotationTag+`":"`...), tag...), `"}`...)
		ix.tagged = append(ix.tagged, shortDigest(digest))
	}
	ix.line, ix.separator = append(b, '}'), ",\n"
	_, err = ix.w.Write(ix.line)
	return err
}
