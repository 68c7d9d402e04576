package registry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"k0rdent-airgap/lib/ref"
)

const (
	// annotationTag holds the tag of an entry in index.json (image-spec, annotations).
	annotationTag = "org.opencontainers.image.ref.name"
	// layoutText is the file that marks an OCI image layout (image-spec, image layout).
	layoutText = `{"imageLayoutVersion":"1.0.0"}`
)

// manifestDirs returns the directories of a repository's manifests, by algorithm.
func manifestDirs(name string) (dirs []string) {
	for _, algorithm := range algorithms {
		dirs = append(dirs, repoPath(name, "manifests/"+algorithm))
	}
	return dirs
}

// hasLayout reports whether a repository has its oci-layout, which a crash may have
// truncated.
func (d *Disk) hasLayout(name string) bool {
	text, err := d.tree.root.ReadFile(repoPath(name, "oci-layout"))
	return err == nil && string(text) == layoutText
}

// sameIndex reports whether a repository's index.json and oci-layout are up to date.
func (d *Disk) sameIndex(name string) (bool, error) {
	if !d.hasLayout(name) {
		return false, nil
	}
	f, err := d.tree.root.Open(repoPath(name, "index.json"))
	if err != nil {
		return false, ifExists(err)
	}
	defer f.Close()
	old := bufio.NewReader(f)
	if err := d.index(name, &comparer{old}); err != nil {
		return false, unless(err, errDiffers)
	}
	_, err = old.ReadByte()
	return err == io.EOF, nil
}

// comparer is a writer that compares what is written with what r reads.
type comparer struct{ r io.Reader }

var errDiffers = errors.New("other content")

func (c *comparer) Write(p []byte) (int, error) {
	old := make([]byte, len(p))
	if _, err := io.ReadFull(c.r, old); err != nil || !bytes.Equal(old, p) {
		return 0, errDiffers
	}
	return len(p), nil
}

// writeIndex replaces a repository's index.json and adds oci-layout if necessary.
func (d *Disk) writeIndex(name string) error {
	d.indexes.writing.Lock()
	defer d.indexes.writing.Unlock()
	d.indexes.wrote.Store(true)
	if !d.hasRepo(name) { // removed by garbage collection
		return nil
	}
	if err := d.sweep(context.Background(), name); err != nil {
		return err
	}
	if !d.hasLayout(name) {
		err := d.replaceFile(repoPath(name, "oci-layout"), func(w io.Writer) error {
			_, err := io.WriteString(w, layoutText)
			return err
		})
		if err != nil {
			return err
		}
	}
	return d.replaceFile(repoPath(name, "index.json"), func(w io.Writer) error { return d.index(name, w) })
}

// replaceFile replaces a derived file atomically, without syncing it.
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

// index writes an index.json, with an entry for each tag, and one for each manifest
// without a tag.
func (d *Disk) index(name string, w io.Writer) error {
	if _, err := io.WriteString(w, `{"schemaVersion":2,"mediaType":"`+mediaTypeIndex+`","manifests":[`); err != nil {
		return err
	}
	ix := &indexWriter{tree: &d.tree, w: w, separator: "\n", tagged: make(digestSet)}
	// In directory order: sorted, it would be read several times.
	err := d.tree.eachName(tagsPath(name), func(tag []byte, _ byte) error {
		target, err := d.tree.readlink(tagPath(name, string(tag)))
		if err != nil {
			return err
		}
		digest, err := tagDigest(target)
		if err != nil || ref.CheckTag(string(tag)) != nil { // deleted since, or not the registry's
			return nil
		}
		return ix.entry(name, digest, string(tag))
	})
	if err != nil {
		return err
	}
	err = d.eachManifest(context.Background(), name, func(digest Digest) error {
		if ix.tagged.has(digest) {
			return nil
		}
		return ix.entry(name, digest, "")
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, "\n]}\n")
	return err
}

// indexWriter writes the entries of an index.json.
type indexWriter struct {
	tree      *tree
	w         io.Writer
	tagged    digestSet
	separator string
}

// entry writes the descriptor of a manifest, if it exists. Digests and tags need no
// escaping.
func (ix *indexWriter) entry(name string, digest Digest, tag string) error {
	mediaType, err := ix.tree.readlink(manifestPath(name, digest))
	if err != nil || mediaType == "" {
		return err
	}
	stat, err := ix.tree.stat(blobPath(name, digest))
	if err != nil {
		return ifExists(err)
	}
	quoted, err := json.Marshal(mediaType)
	if err != nil {
		return err
	}
	line := ix.separator + `{"mediaType":` + string(quoted) + `,"digest":"` + string(digest) + `","size":` + strconv.FormatInt(stat.Size, 10)
	if tag != "" {
		line += `,"annotations":{"` + annotationTag + `":"` + tag + `"}`
		ix.tagged.add(digest)
	}
	ix.separator = ",\n"
	_, err = io.WriteString(ix.w, line+"}")
	return err
}
