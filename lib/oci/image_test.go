package oci

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func TestImages(t *testing.T) {
	type want struct {
		kind, annotation string
		manifests        int
		blobs            int
		missing          string // "manifests,blobs"
		platforms        []string
		chart            *Chart
	}
	for _, tt := range []struct {
		name  string
		build func(l *layout) []byte
		want  []want
	}{
		{"image", func(l *layout) []byte { return l.archive(at(l.image("linux", "amd64", "layer"), "v1")) },
			[]want{{TypeImage, "v1", 1, 2, "0,0", []string{"linux/amd64"}, nil}}},
		{"platform with variant", func(l *layout) []byte {
			c := l.blob(types.OCIConfigJSON, `{"os":"linux","architecture":"arm64","variant":"v8"}`)
			return l.archive(l.manifest(c))
		}, []want{{TypeImage, "", 1, 1, "0,0", []string{"linux/arm64/v8"}, nil}}},
		{"config without platform", func(l *layout) []byte {
			return l.archive(l.manifest(l.blob(types.OCIConfigJSON, `{"os":7}`)))
		}, []want{{TypeImage, "", 1, 1, "0,0", nil, nil}}},
		{"same layer twice", func(l *layout) []byte {
			c, b := l.blob(types.OCIConfigJSON, "{}"), l.blob(types.OCILayer, "x")
			return l.archive(l.manifest(c, b, b))
		}, []want{{TypeImage, "", 1, 2, "0,0", nil, nil}}},
		{"Docker's media types", func(l *layout) []byte {
			m := v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2,
				Config: l.blob(types.DockerConfigJSON, `{"os":"linux","architecture":"amd64"}`), Layers: []v1.Descriptor{l.blob(types.DockerLayer, "x")}}
			d := l.blob(types.DockerManifestSchema2, toJSON(l.t, m))
			return l.archive(l.blob(types.DockerManifestList, toJSON(l.t, v1.IndexManifest{SchemaVersion: 2, MediaType: types.DockerManifestList, Manifests: []v1.Descriptor{d}})))
		}, []want{{TypeIndex, "", 2, 2, "0,0", []string{"linux/amd64"}, nil}}},
		{"index", func(l *layout) []byte {
			return l.archive(l.index(on(l.image("linux", "amd64", "a"), "linux", "amd64"), l.image("linux", "arm64", "a")))
		}, []want{{TypeIndex, "", 3, 3, "0,0", []string{"linux/amd64", "linux/arm64"}, nil}}},
		{"index with attestations", func(l *layout) []byte {
			return l.archive(l.index(l.image("linux", "amd64", "a"), on(l.image("linux", "amd64", "b"), "unknown", "unknown")))
		}, []want{{TypeIndex, "", 3, 3, "0,0", []string{"linux/amd64"}, nil}}},
		{"index in index", func(l *layout) []byte {
			return l.archive(l.index(l.index(l.image("linux", "amd64", "a")), l.image("linux", "amd64", "a")))
		}, []want{{TypeIndex, "", 3, 2, "0,0", []string{"linux/amd64"}, nil}}},
		{"sparse index", func(l *layout) []byte {
			absent := on((&layout{t: l.t}).image("linux", "s390x", "z"), "linux", "s390x")
			untyped := absent
			untyped.MediaType, untyped.Digest = "", digestOf("untyped")
			return l.archive(l.index(l.image("linux", "amd64", "a"), absent, untyped))
		}, []want{{TypeIndex, "", 2, 2, "2,0", []string{"linux/amd64"}, nil}}},
		{"empty index", func(l *layout) []byte { return l.archive(l.blob(types.OCIImageIndex, `{"manifests":[]}`)) },
			[]want{{TypeIndex, "", 1, 0, "0,0", nil, nil}}},
		{"index of a blob", func(l *layout) []byte { return l.archive(l.index(l.blob("application/x", "data"))) },
			[]want{{TypeIndex, "", 1, 1, "0,0", nil, nil}}},
		{"missing layer", func(l *layout) []byte {
			return l.archive(l.manifest(l.blob(types.OCIConfigJSON, "{}"), (&layout{}).blob(types.OCILayer, "gone")))
		}, []want{{TypeImage, "", 1, 1, "0,1", nil, nil}}},
		{"missing config", func(l *layout) []byte {
			return l.archive(l.manifest((&layout{}).blob(types.OCIConfigJSON, "{}"), l.blob(types.OCILayer, "x")))
		}, []want{{TypeImage, "", 1, 1, "0,1", nil, nil}}},
		{"foreign layers", func(l *layout) []byte {
			foreign := (&layout{}).blob(types.DockerForeignLayer, "windows")
			elsewhere := (&layout{}).blob(types.OCILayer, "elsewhere")
			elsewhere.URLs = []string{"https://example.com/x"}
			return l.archive(l.manifest(l.blob(types.OCIConfigJSON, "{}"), foreign, elsewhere, l.blob(types.OCIRestrictedLayer, "here")))
		}, []want{{TypeImage, "", 1, 2, "0,0", nil, nil}}},
		{"chart", func(l *layout) []byte {
			c := l.blob(ChartConfig, `{"name":"kcm","version":"1.2.3+b","appVersion":"1.2","apiVersion":"v2"}`)
			return l.archive(at(l.manifest(c, l.blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "tgz")), "1.2.3_b"))
		}, []want{{TypeChart, "1.2.3_b", 1, 2, "0,0", nil, &Chart{"kcm", "1.2.3+b", "1.2"}}}},
		{"chart with an odd config", func(l *layout) []byte { return l.archive(l.manifest(l.blob(ChartConfig, `{"name":1}`))) },
			[]want{{TypeChart, "", 1, 1, "0,0", nil, nil}}},
		{"artifact", func(l *layout) []byte {
			return l.archive(l.manifest(l.blob(types.OCIEmptyJSON, "{}"), l.blob("application/yaml", "kind: Components")))
		}, []want{{TypeArtifact, "", 1, 2, "0,0", nil, nil}}},
		{"signature that borrows an image's config", func(l *layout) []byte {
			c := l.blob(types.OCIConfigJSON, `{"architecture":"","os":"","rootfs":{"type":"layers"}}`)
			return l.archive(at(l.manifest(c, l.blob("application/vnd.dev.cosign.simplesigning.v1+json", `{"critical":{}}`)), "sha256-00.sig"))
		}, []want{{TypeArtifact, "sha256-00.sig", 1, 2, "0,0", nil, nil}}},
		{"artifact whose layer is JSON", func(l *layout) []byte {
			return l.archive(l.manifest(l.blob("application/vnd.unknown.config.v1+json", "{}"), l.blob("application/json", `{"a":1}`)))
		}, []want{{TypeArtifact, "", 1, 2, "0,0", nil, nil}}},
		{"two images", func(l *layout) []byte {
			return l.archive(at(l.image("linux", "amd64", "a"), "one"), at(l.image("linux", "arm64", "a"), "two"))
		}, []want{{TypeImage, "one", 1, 2, "0,0", []string{"linux/amd64"}, nil}, {TypeImage, "two", 1, 2, "0,0", []string{"linux/arm64"}, nil}}},
		{"untyped", func(l *layout) []byte {
			image := l.image("linux", "amd64", "a")
			image.MediaType = ""
			return l.archive(image)
		}, []want{{TypeImage, "", 1, 2, "0,0", []string{"linux/amd64"}, nil}}},
		{"typed by its shape", func(l *layout) []byte {
			d := l.blob("", `{"manifests":[]}`)
			return l.archive(d)
		}, []want{{TypeIndex, "", 1, 0, "0,0", nil, nil}}},
		{"no image", func(l *layout) []byte { return l.archive() }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			both(t, tt.build(&layout{t: t}), func(how string, a *Archive, images []*Image, err error) {
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				var got []want
				for _, i := range images {
					got = append(got, want{i.Type, strings.Join(i.Names, " "), len(i.Manifests), len(i.Blobs),
						fmt.Sprintf("%d,%d", len(i.MissingManifests()), len(i.MissingBlobs())), i.Platforms, i.Chart})
					root := i.Manifests[len(i.Manifests)-1]
					if root.Descriptor.Digest != i.Descriptor.Digest || root.Descriptor.MediaType != i.Descriptor.MediaType {
						t.Errorf("%s: the last manifest is %v, not the root %v", how, root.Descriptor, i.Descriptor)
					}
					if !i.Descriptor.MediaType.IsImage() && !i.Descriptor.MediaType.IsIndex() {
						t.Errorf("%s: media type %q", how, i.Descriptor.MediaType)
					}
					checkBottomUp(t, i)
					for _, m := range i.Manifests {
						if digestOf(string(m.Raw)) != m.Descriptor.Digest {
							t.Errorf("%s: manifest %v has other bytes", how, m.Descriptor.Digest)
						}
					}
				}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("%s:\n got %+v\nwant %+v", how, got, tt.want)
				}
			})
		})
	}
}

// checkBottomUp fails if a manifest comes before one that it names.
func checkBottomUp(t *testing.T, i *Image) {
	t.Helper()
	for n, m := range i.Manifests {
		for _, later := range i.Manifests[n:] {
			if n > 0 && slices.Contains([]string{string(m.Raw)}, later.Descriptor.Digest.String()) {
				t.Errorf("%v comes after its parent", later.Descriptor.Digest)
			}
			if strings.Contains(string(m.Raw), later.Descriptor.Digest.Hex) {
				t.Errorf("%v comes after its parent %v", later.Descriptor.Digest, m.Descriptor.Digest)
			}
		}
	}
}

func TestInvalidManifests(t *testing.T) {
	digest := digestOf("x").String()
	wide := func(n int) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, `{"size":1,"digest":"sha256:%064x"}`, i)
		}
		return b.String()
	}
	for _, tt := range []struct {
		name  string
		build func(l *layout) []byte
		want  string
	}{
		{"index.json is not JSON", func(l *layout) []byte { return l.pack("nope") }, "index.json: invalid character"},
		{"index.json is empty", func(l *layout) []byte { return l.pack("") }, "index.json"},
		{"index.json is cut", func(l *layout) []byte { return l.pack(`{"manifests":[{`) }, "index.json"},
		{"index.json twice in one", func(l *layout) []byte { return l.pack(`{"manifests":[]}{"manifests":[]}`) }, "more than one"},
		{"index.json without manifests", func(l *layout) []byte { return l.pack(`{}`) }, "no list of manifests"},
		{"index.json names nothing here", func(l *layout) []byte { return l.archive((&layout{t: l.t}).image("a", "b", "c")) }, "lacks"},
		{"digest of another kind", func(l *layout) []byte { return l.pack(`{"manifests":[{"size":1,"digest":"md5:00"}]}`) }, "unsupported hash"},
		{"digest too short", func(l *layout) []byte { return l.pack(`{"manifests":[{"size":1,"digest":"sha256:00"}]}`) }, "hex digits"},
		{"digest with capitals", func(l *layout) []byte {
			return l.pack(`{"manifests":[{"size":1,"digest":"` + strings.ToUpper(digest) + `"}]}`)
		}, "hash"},
		{"no digest", func(l *layout) []byte { return l.pack(`{"manifests":[{"size":1}]}`) }, "without a digest"},
		{"negative size", func(l *layout) []byte { return l.pack(`{"manifests":[{"size":-1,"digest":"` + digest + `"}]}`) }, "size -1"},
		{"size too large for a number", func(l *layout) []byte {
			return l.pack(`{"manifests":[{"size":99999999999999999999,"digest":"` + digest + `"}]}`)
		}, "index.json"},
		{"size of a manifest", func(l *layout) []byte {
			d := l.image("linux", "amd64", "x")
			d.Size++
			return l.archive(d)
		}, "the archive has"},
		{"size of a layer", func(l *layout) []byte {
			b := l.blob(types.OCILayer, "layer")
			b.Size--
			return l.archive(l.manifest(l.blob(types.OCIConfigJSON, "{}"), b))
		}, "the archive has 5"},
		{"layer without digest", func(l *layout) []byte {
			return l.archive(l.manifest(l.blob(types.OCIConfigJSON, "{}"), v1.Descriptor{MediaType: types.OCILayer}))
		}, "cannot parse hash"},
		{"schema 1", func(l *layout) []byte {
			return l.archive(l.blob(types.DockerManifestSchema1Signed, `{"schemaVersion":1,"fsLayers":[]}`))
		}, "not supported"},
		{"no manifest at all", func(l *layout) []byte { return l.archive(l.blob("", `{}`)) }, "not supported"},
		{"image and index at once", func(l *layout) []byte {
			return l.archive(l.blob(types.OCIManifestSchema1, `{"config":{"size":1,"digest":"`+digest+`"},"layers":[],"manifests":[]}`))
		}, "both an image and an index"},
		{"index that is an image", func(l *layout) []byte {
			return l.archive(l.blob(types.OCIImageIndex, `{"config":{"size":1,"digest":"`+digest+`"},"layers":[]}`))
		}, "does not match media type"},
		{"image without config", func(l *layout) []byte { return l.archive(l.blob(types.OCIManifestSchema1, `{"layers":[]}`)) }, "does not match media type"},
		{"media types differ", func(l *layout) []byte {
			return l.archive(l.blob(types.OCIManifestSchema1, `{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`))
		}, "in itself"},
		{"manifest that is not JSON", func(l *layout) []byte { return l.archive(l.blob(types.OCIManifestSchema1, `layer`)) }, ""},
		{"giant manifest", func(l *layout) []byte {
			return l.archive(l.blob(types.OCIManifestSchema1, `{"x":"`+strings.Repeat("x", maxJSON)+`"}`))
		}, "blob"},
		{"giant index.json", func(l *layout) []byte { return l.pack(`{"x":"` + strings.Repeat("x", maxJSON) + `"}`) }, "more than"},
		{"too many children", func(l *layout) []byte {
			return l.archive(l.blob(types.OCIImageIndex, `{"manifests":[`+wide(maxDescriptors+1)+`]}`))
		}, "lists 10001 descriptors"},
		{"too many layers", func(l *layout) []byte {
			return l.archive(l.blob(types.OCIManifestSchema1, `{"config":{"size":1,"digest":"`+digest+`"},"layers":[`+wide(maxDescriptors+1)+`]}`))
		}, "lists 10001 descriptors"},
		{"the same large index, many times", func(l *layout) []byte {
			d := l.blob(types.OCIImageIndex, `{"manifests":[`+wide(10)+`],"large":"`+strings.Repeat("x", 1<<20)+`"}`)
			var all []v1.Descriptor
			for i := range 100 {
				all = append(all, l.index(d, l.image("linux", "amd64", fmt.Sprint(i))))
			}
			return l.archive(all...)
		}, "more than 64 MiB"},
		{"deep", func(l *layout) []byte {
			d := l.image("linux", "amd64", "x")
			for range 20 {
				d = l.index(d)
			}
			return l.archive(d)
		}, "nested"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			both(t, tt.build(&layout{t: t}), func(how string, a *Archive, images []*Image, err error) {
				if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: %v, want an ErrInvalid with %q", how, err, tt.want)
				}
			})
		})
	}
}
