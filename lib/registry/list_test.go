package registry

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestLists(t *testing.T) {
	reg := newRegistry(t)
	for _, name := range []string{"a/b", "a-b", "a", "a/b/c", "b"} {
		for _, tag := range []string{"v2", "v10", "V1"} {
			reg.pushImage(name, tag, tag)
		}
	}
	for _, c := range []struct{ target, want, link string }{
		{"/v2/_catalog", `{"repositories":["a","a-b","a/b","a/b/c","b"]}`, ""},
		{"/v2/_catalog?n=2", `{"repositories":["a","a-b"]}`, `</v2/_catalog?last=a-b&n=2>; rel="next"`},
		{"/v2/_catalog?n=2&last=a-b", `{"repositories":["a/b","a/b/c"]}`, `</v2/_catalog?last=a%2Fb%2Fc&n=2>; rel="next"`},
		{"/v2/_catalog?n=2&last=a%2Fb%2Fc", `{"repositories":["b"]}`, ""},
		{"/v2/_catalog?last=zz", `{"repositories":[]}`, ""},
		{"/v2/_catalog?n=0", `{"repositories":[]}`, ""},
		{"/v2/a/b/tags/list", `{"name":"a/b","tags":["V1","v10","v2"]}`, ""},
		{"/v2/a/b/tags/list?n=2", `{"name":"a/b","tags":["V1","v10"]}`, `</v2/a/b/tags/list?last=v10&n=2>; rel="next"`},
		{"/v2/a/b/tags/list?n=2&last=v10", `{"name":"a/b","tags":["v2"]}`, ""},
		{"/v2/a/b/tags/list?n=3", `{"name":"a/b","tags":["V1","v10","v2"]}`, ""},
		{"/v2/a/b/tags/list?n=0", `{"name":"a/b","tags":[]}`, ""},
		{"/v2/a/b/tags/list?last=v2", `{"name":"a/b","tags":[]}`, ""},
	} {
		a := reg.want(200, "GET", c.target, nil)
		if a.body != c.want || a.Header.Get("Link") != c.link {
			t.Errorf("GET %s = %s Link %q, want %s Link %q", c.target, a.body, a.Header.Get("Link"), c.want, c.link)
		}
	}
}

func TestReferrers(t *testing.T) {
	reg := newRegistry(t)
	subject := reg.pushImage("a", "v1", "subject")
	push := func(fields string) Digest {
		m := []byte(`{"schemaVersion":2,"mediaType":"` + mediaTypeIndex + `","manifests":[],"subject":{"digest":"` + string(subject) + `"}` + fields + `}`)
		a := reg.want(201, "PUT", "/v2/a/manifests/"+string(digestBytes("sha256", m)), m, "Content-Type", mediaTypeIndex)
		if got := a.Header.Get("OCI-Subject"); got != string(subject) {
			t.Errorf("OCI-Subject: %q, want %q", got, subject)
		}
		return digestBytes("sha256", m)
	}
	plain := push("")
	sbom := push(`,"artifactType":"x/sbom","annotations":{"k":"v"}`)
	list := func(query string) (got []Descriptor, a answer) {
		a = reg.want(200, "GET", "/v2/a/referrers/"+string(subject)+query, nil)
		var index struct{ Manifests []Descriptor }
		if err := json.Unmarshal([]byte(a.body), &index); err != nil || a.Header.Get("Content-Type") != mediaTypeIndex {
			t.Fatalf("%v in %s", err, a.body)
		}
		return index.Manifests, a
	}
	reg.restart() // what refers to what must survive
	if got, _ := list(""); len(got) != 2 {
		t.Errorf("referrers = %v, want %s and %s", got, plain, sbom)
	}
	got, a := list("?artifactType=x/sbom")
	if len(got) != 1 || got[0].Digest != sbom || got[0].ArtifactType != "x/sbom" || got[0].Annotations["k"] != "v" ||
		a.Header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("filtered referrers = %+v %v", got, a.Header)
	}
	reg.want(202, "DELETE", "/v2/a/manifests/"+string(sbom), nil)
	if got, _ := list(""); len(got) != 1 || got[0].Digest != plain {
		t.Errorf("referrers after deletion = %v, want %s", got, plain)
	}
	if a := reg.want(200, "GET", "/v2/absent/referrers/"+dig256, nil); !strings.Contains(a.body, `"manifests":[]`) {
		t.Errorf("referrers in an absent repository: %s", a.body)
	}
}

// A list of referrers does not outgrow the manifests that clients accept.
func TestReferrersPages(t *testing.T) {
	reg := newRegistry(t)
	want := map[Digest]bool{}
	for i := range 5 {
		m := []byte(`{"subject":{"digest":"` + dig256 + `"},"annotations":{"n":"` + string(rune('0'+i)) + `","a":"` + strings.Repeat("x", 1<<20) + `"}}`)
		reg.want(201, "PUT", "/v2/a/manifests/"+string(digestBytes("sha256", m)), m, "Content-Type", mediaTypeIndex)
		want[digestBytes("sha256", m)] = true
	}
	got := map[Digest]bool{}
	pages := 0
	for target := "/v2/a/referrers/" + dig256; target != ""; pages++ {
		a := reg.want(200, "GET", target, nil)
		if len(a.body) > maxManifest {
			t.Errorf("a page has %d bytes", len(a.body))
		}
		var index struct{ Manifests []Descriptor }
		if err := json.Unmarshal([]byte(a.body), &index); err != nil {
			t.Fatal(err)
		}
		for _, d := range index.Manifests {
			got[d.Digest] = true
		}
		target, _, _ = strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
	}
	if !reflect.DeepEqual(got, want) || pages != 5 {
		t.Errorf("got %d referrers on %d pages, want %d on 5", len(got), pages, len(want))
	}
}
