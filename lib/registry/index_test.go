package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// digestOf makes a digest from a number, for tests that need many.
func digestOf(i int) Digest { return Digest(fmt.Sprintf("sha256:%064x", i)) }

func indexText(t testing.TB, ix *index) string {
	t.Helper()
	var b bytes.Buffer
	if err := ix.write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sameIndex(t testing.TB, got, want *index) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %s want %s", indexText(t, got), indexText(t, want))
	}
}

func TestIndexChanges(t *testing.T) {
	ix := newIndex()
	put := func(i int, subject Digest, tags ...string) {
		d := Descriptor{MediaType: mediaTypeImage, Digest: digestOf(i), Size: int64(i)}
		if subject != "" {
			d.Annotations = map[string]string{annotationSubject: string(subject)}
		}
		ix.apply(change{Put: &d, Tags: tags})
	}
	put(1, "", "v1", "latest")
	put(2, digestOf(1))
	put(3, digestOf(1), "sbom")
	put(4, "", "latest") // the tag moves, the old manifest stays
	ix.apply(change{Untag: "absent"})
	ix.apply(change{Remove: digestOf(9)})
	want := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + string(digestOf(4)) + `","size":4,"annotations":{"org.opencontainers.image.ref.name":"latest"}},
{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + string(digestOf(3)) + `","size":3,"annotations":{"org.opencontainers.image.ref.name":"sbom","io.k0rdent.airgap.subject":"` + string(digestOf(1)) + `"}},
{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + string(digestOf(1)) + `","size":1,"annotations":{"org.opencontainers.image.ref.name":"v1"}},
{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + string(digestOf(2)) + `","size":2,"annotations":{"io.k0rdent.airgap.subject":"` + string(digestOf(1)) + `"}}
]}
`
	if got := indexText(t, ix); got != want {
		t.Errorf("index.json is\n%swant\n%s", got, want)
	}
	ix.apply(change{Untag: "v1"})
	ix.apply(change{Remove: digestOf(4)})
	ix.apply(change{Remove: digestOf(3)})
	if tags, _ := page(ix.names, "", noLimit); len(tags) != 0 || len(ix.tags) != 0 {
		t.Errorf("tags of removed manifests are still there: %v %v", tags, ix.tags)
	}
	if got := ix.referrers[digestOf(1)]; !reflect.DeepEqual(got, []Digest{digestOf(2)}) {
		t.Errorf("referrers = %v, want the one that is left", got)
	}
}

func TestPage(t *testing.T) {
	sorted := []string{"a", "b", "c", "d"}
	for _, c := range []struct {
		last  string
		limit int
		want  []string
		more  bool
	}{
		{"", noLimit, sorted, false},
		{"", 2, []string{"a", "b"}, true},
		{"b", 2, []string{"c", "d"}, false},
		{"bb", 1, []string{"c"}, true},
		{"d", noLimit, []string{}, false},
		{"", 0, []string{}, true},
		{"", 4, sorted, false},
	} {
		got, more := page(sorted, c.last, c.limit)
		if fmt.Sprint(got) != fmt.Sprint(c.want) || more != c.more {
			t.Errorf("page(%q, %d) = %v, %v, want %v, %v", c.last, c.limit, got, more, c.want, c.more)
		}
	}
}

// A layout that another tool has written must be served, and survive.
func TestParseForeignIndex(t *testing.T) {
	const text = `{"schemaVersion":2, "annotations":{"a":"b"}, "manifests":[
	 {"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + dig256 + `","size":7,"platform":{"os":"linux"},
	  "annotations":{"org.opencontainers.image.ref.name":"docker.io/library/a:b"}},
	 {"mediaType":"x/y","digest":"blake3:00","size":1},
	 {"mediaType":"application/vnd.oci.image.index.v1+json","digest":"` + dig512 + `","size":8,
	  "annotations":{"org.opencontainers.image.ref.name":"v1","io.k0rdent.airgap.subject":"nonsense"}}]}`
	got, err := parseIndex(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := newIndex()
	want.put(dig256, mediaTypeImage, 7, "")
	want.put(dig512, mediaTypeIndex, 8, "")
	want.tag("v1", dig512)
	sameIndex(t, got, want)
}

func TestParseDamagedIndex(t *testing.T) {
	for _, text := range []string{"", "{", `{"manifests":[`, `{"manifests":{}}`, `[]`, `{"manifests":[{"digest":1}]}`, "\x00\x00"} {
		if ix, err := parseIndex(strings.NewReader(text)); err == nil {
			t.Errorf("parseIndex(%q) = %s, want an error", text, indexText(t, ix))
		}
	}
}

// FuzzParseIndex wants whatever parses to be written such that it parses to
// the same, as one JSON value.
func FuzzParseIndex(f *testing.F) {
	ix := newIndex()
	ix.put(digestOf(1), mediaTypeImage, 5, digestOf(2))
	ix.put(digestOf(3), `odd "type"`, 5, "")
	ix.tag("v1", digestOf(3))
	f.Add([]byte(indexText(f, ix)))
	f.Add([]byte(indexText(f, newIndex())))
	f.Add([]byte(`{"manifests":[{"digest":"` + dig256 + `"},{"digest":"` + dig256 + `","size":3}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ix, err := parseIndex(bytes.NewReader(data))
		if err != nil {
			return
		}
		text := indexText(t, ix)
		if !json.Valid([]byte(text)) {
			t.Fatalf("wrote %q", text)
		}
		again, err := parseIndex(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		if got := indexText(t, again); got != text {
			t.Fatalf("parsed and written again: %q, want %q", got, text)
		}
	})
}

// FuzzReplay wants a journal to stop where it is damaged, and a second replay
// over the result to change nothing.
func FuzzReplay(f *testing.F) {
	f.Add([]byte(`{"repository":"a","put":{"mediaType":"x/y","digest":"` + dig256 + `","size":1},"tags":["a","b"]}` + "\n" +
		`{"untag":"a"}` + "\n" + `{"remove":"` + dig256 + `"}` + "\n" + `{"untag":"b`))
	f.Add([]byte("{}\n\x00\x00"))
	f.Add([]byte(`{"put":{"digest":"sha256:../.."},"tags":["../x"]}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		once := newIndex()
		end, err := once.replay(bytes.NewReader(data))
		if err != nil || end < 0 || end > int64(len(data)) || end > 0 && data[end-1] != '\n' {
			t.Fatalf("replay = %d, %v", end, err)
		}
		twice := newIndex()
		for range 2 {
			if again, _ := twice.replay(bytes.NewReader(data[:end])); again != end {
				t.Fatalf("replay of the valid part = %d, want %d", again, end)
			}
		}
		if got, want := indexText(t, twice), indexText(t, once); got != want {
			t.Fatalf("replayed twice: %s want %s", got, want)
		}
	})
}
