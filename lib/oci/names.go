package oci

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/ref"
)

// ErrNames means that an archive holds several images and its name does not say
// which one it refers to. Nothing in it can be published.
var ErrNames = errors.New("unclear which image the entry's name refers to")

// cosignKinds maps the values of the annotation "kind", with which "cosign
// save" marks what belongs to an image, to the suffixes of the tags.
var cosignKinds = map[string]string{
	"dev.cosignproject.cosign/sigs": ".sig",
	"dev.cosignproject.cosign/atts": ".att",
}

// A Named is an image of an archive with its reference. An image with several
// tags appears once per tag.
type Named struct {
	*Image
	// Reference has no tag for manifests that registries hold only by
	// digest: referrers, and others without a name of their own.
	Reference ref.Reference
	Warning   string // something that the operator should check
}

// Named returns the images of an archive, in the order of index.json, with
// their references as part of a bundle. The entry's name, or the reference
// given in its place, belongs to one image: the one whose annotation matches
// it, or else the only one that is neither part of another nor refers to one.
// All others go to the same repository, under their own tags or without one;
// children of an index are not listed.
//
// Errors are those of Images, an ErrNames, or a ref.ErrInvalid.
func (a *Archive) Named(entry string, given *ref.Reference) ([]Named, error) {
	n, err := a.names(entry)
	if err != nil {
		return nil, err
	}
	own := Named{Image: n.main}
	if given != nil {
		own.Reference = *given
	} else if own.Reference, own.Warning, err = ref.Resolve(entry, n.claims()); err != nil {
		return nil, err
	}
	n.byTag = map[string]*Image{own.Reference.Tag: n.main}
	var all []Named
	for _, image := range n.images {
		tags, err := n.tags(image, own.Reference)
		if err != nil {
			return nil, err
		}
		if image == n.main {
			all = append(all, own)
		}
		for _, tag := range tags {
			all = append(all, Named{Image: image, Reference: ref.Reference{Repository: own.Reference.Repository, Tag: tag}})
		}
		if image != n.main && len(tags) == 0 && !n.children[image.Descriptor.Digest] {
			all = append(all, Named{Image: image, Reference: ref.Reference{Repository: own.Reference.Repository}})
		}
	}
	return all, nil
}

// Main returns the image that an entry's name belongs to. Errors are as for
// Named.
func (a *Archive) Main(entry string) (*Image, error) {
	n, err := a.names(entry)
	if err != nil {
		return nil, err
	}
	return n.main, nil
}

// names assigns names to the images of an archive.
type names struct {
	entry    string
	images   []*Image
	children map[v1.Hash]bool // manifests below an index of the archive
	main     *Image
	byTag    map[string]*Image // by tag
}

func (a *Archive) names(entry string) (*names, error) {
	images, err := a.Images()
	if err != nil {
		return nil, err
	}
	if len(images) == 0 {
		return nil, invalid("%s lists no manifests", indexFile)
	}
	n := &names{entry: entry, images: images, children: map[v1.Hash]bool{}}
	for _, image := range images {
		for _, m := range image.Manifests[:len(image.Manifests)-1] {
			n.children[m.Descriptor.Digest] = true
		}
	}
	for _, candidates := range [][]*Image{n.fitting(), images} {
		if len(candidates) > 1 {
			candidates = slices.DeleteFunc(slices.Clone(candidates), n.belongs)
		}
		if len(candidates) == 1 {
			n.main = candidates[0]
			return n, nil
		}
		if len(candidates) > 1 {
			images = candidates
			break
		}
	}
	return nil, fmt.Errorf("%w: it holds %s", ErrNames, list(images))
}

// fitting returns the images that the archive calls by the entry's name.
func (n *names) fitting() (fit []*Image) {
	for _, image := range n.images {
		if slices.ContainsFunc(image.Names, n.fits) {
			fit = append(fit, image)
		}
	}
	return fit
}

func (n *names) fits(name string) bool { return ref.Fits(n.entry, name) }

// belongs reports whether an image belongs to another one.
func (n *names) belongs(image *Image) bool {
	return image.Subject != v1.Hash{} || image.cosign != "" || n.children[image.Descriptor.Digest] ||
		slices.ContainsFunc(image.Names, func(name string) bool {
			_, tag := ref.ParseAnnotation(name)
			return ref.IsFallback(tag)
		})
}

// claims returns what the archive says of the image that has the entry's name.
func (n *names) claims() ref.Metadata {
	var claims ref.Metadata
	if i := slices.IndexFunc(n.main.Names, n.fits); i >= 0 {
		claims.Annotation = n.main.Names[i]
	}
	if c := n.main.Chart; c != nil {
		claims.Chart, claims.Version = c.Name, c.Version
	}
	return claims
}

// tags returns the tags of an image other than the entry's name. An image that
// is named after another repository, or whose tag is already in use, and that
// belongs to no other image, makes the entry's name ambiguous.
func (n *names) tags(image *Image, own ref.Reference) (tags []string, err error) {
	if image == n.main && !slices.ContainsFunc(image.Names, n.fits) {
		return nil, nil // the entry's name overrides the archive's
	}
	if image.cosign != "" && image != n.main {
		return []string{strings.Replace(n.main.Descriptor.Digest.String(), ":", "-", 1) + image.cosign}, nil
	}
	for _, name := range image.Names {
		repository, tag := ref.ParseAnnotation(name)
		switch {
		case ref.CheckTag(tag) != nil, n.byTag[tag] == image, image == n.main && n.fits(name):
		case n.byTag[tag] == nil && n.same(repository, own.Repository):
			n.byTag[tag] = image
			tags = append(tags, tag)
		case image != n.main && !n.belongs(image):
			return nil, fmt.Errorf("%w: it holds %s", ErrNames, list(n.images))
		}
	}
	return tags, nil
}

// same reports whether a name's repository, if it has one, is that of the image
// with the entry's name.
func (n *names) same(repository, own string) bool {
	if repository == "" {
		return true
	}
	for _, name := range n.main.Names {
		if main, _ := ref.ParseAnnotation(name); main != "" && n.fits(name) {
			return main == repository
		}
	}
	return path.Base(repository) == path.Base(own)
}

// list names images for people, as far as that fits on a line.
func list(images []*Image) string {
	var all []v1.Descriptor
	var names []string
	for _, image := range images {
		all = append(all, image.Descriptor)
		names = append(names, image.Names...)
	}
	if len(names) < len(images) {
		return Count(all, "manifest")
	}
	return fmt.Sprintf("%d images (%s)", len(images), few(names))
}
