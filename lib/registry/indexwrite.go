package registry

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"

	"k0rdent-airgap/lib/ref"
)

const (
	// annotationTag holds the tag of an entry in index.json (image-spec, annotations).
	annotationTag = "org.opencontainers.image.ref.name"
	// annotationState is the annotation that indexEnd writes.
	annotationState = "oci-serve.state"
	// layoutText is the file that marks an OCI image layout (image-spec, image layout).
	layoutText = `{"imageLayoutVersion":"1.0.0"}`
	// settled is the age from which a directory's date differs from that of its next
	// change: file systems use the kernel's tick.
	settled = 50 * time.Millisecond
)

// indexEnd returns the end of an up-to-date index.json: the dates of the directories
// that it is derived from.
func (d *Disk) indexEnd(name string) (string, error) {
	for range 3 {
		state, wait := "", time.Duration(0)
		for _, dir := range append(manifestDirs(name), tagsPath(name)) {
			stat, err := d.tree.stat(dir)
			if errors.Is(err, fs.ErrNotExist) {
				stat = new(fileStat)
			} else if err != nil {
				return "", err
			}
			if age := time.Since(stat.modified()); age >= 0 {
				wait = max(wait, settled-age)
			}
			state += fmt.Sprintf(" %d.%09d", stat.Mtim.Sec, stat.Mtim.Nsec)
		}
		if wait == 0 {
			return "\n],\"annotations\":{\"" + annotationState + "\":\"" + state[1:] + "\"}}\n", nil
		}
		time.Sleep(wait) // nothing tells when the kernel's clock has moved on
	}
	return "\n]}\n", nil // it keeps changing
}

// manifestDirs returns the directories of a repository's manifests, by algorithm.
func manifestDirs(name string) (dirs []string) {
	for _, algorithm := range algorithms {
		dirs = append(dirs, repoPath(name, "manifests/"+algorithm))
	}
	return dirs
}

// sameIndex reports whether a repository's index.json is up to date.
func (d *Disk) sameIndex(name string) (bool, error) {
	end, err := d.indexEnd(name)
	if err != nil {
		return false, err
	}
	f, err := d.tree.root.Open(repoPath(name, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if _, err := f.Seek(-int64(len(end)), io.SeekEnd); err != nil { // it is shorter
		return false, nil
	}
	got, err := io.ReadAll(f)
	return string(got) == end, err
}

// writeIndex replaces a repository's index.json and adds oci-layout if necessary.
func (d *Disk) writeIndex(name string) error {
	if !d.hasRepo(name) { // removed by garbage collection
		return nil
	}
	if err := d.sweep(context.Background(), name); err != nil {
		return err
	}
	if there, err := d.tree.exists(repoPath(name, "oci-layout")); err != nil || !there {
		if err := d.replaceFile(repoPath(name, "oci-layout"), func(w io.Writer) error {
			_, err := io.WriteString(w, layoutText)
			return err
		}); err != nil {
			return err
		}
	}
	end, err := d.indexEnd(name) // before the directories are read
	if err != nil {
		return err
	}
	return d.replaceFile(repoPath(name, "index.json"), func(w io.Writer) error {
		if err := d.index(name, w); err != nil {
			return err
		}
		_, err := io.WriteString(w, end)
		return err
	})
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

// index writes an index.json up to its last entry: one for each tag, and one for
// each manifest without a tag.
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
	return d.eachManifest(context.Background(), name, func(digest Digest) error {
		if ix.tagged.has(digest) {
			return nil
		}
		return ix.entry(name, digest, "")
	})
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
