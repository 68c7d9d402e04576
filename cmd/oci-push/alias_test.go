package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/samplebundle"
)

// traffic counts what is sent to a registry.
type traffic struct {
	blobs, links, manifests, ended atomic.Int64
	noLinks                        atomic.Bool // refuse links: open a session instead
}

func (c *traffic) before(_ http.ResponseWriter, r *http.Request) bool {
	switch {
	case r.URL.Query().Has("mount"):
		c.links.Add(1)
		if c.noLinks.Load() {
			r.URL.RawQuery = ""
		}
	case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/"):
		c.manifests.Add(1)
	case r.Method == http.MethodPut || r.Method == http.MethodPatch:
		c.blobs.Add(1)
	case r.Method == http.MethodDelete:
		c.ended.Add(1)
	}
	return false
}

func (c *traffic) reset() {
	for _, n := range []*atomic.Int64{&c.blobs, &c.links, &c.manifests, &c.ended} {
		n.Store(0)
	}
}

// ofType returns an entry of the sample.
func ofType(t *testing.T, m samplebundle.Manifest, kind string) samplebundle.Entry {
	t.Helper()
	for _, e := range m.Entries {
		if e.Type == kind {
			return e
		}
	}
	t.Fatalf("the sample has no %s", kind)
	return samplebundle.Entry{}
}

// as returns an entry under another name.
func as(e samplebundle.Entry, repository, tag string) samplebundle.Entry {
	e.Repository, e.Tag = repository, tag
	return e
}

func TestAliasIsAllOfAnImageAndNoBytes(t *testing.T) {
	var c traffic
	path, m := write(t, samplebundle.Options{Archives: 12})
	host := serve(t, c.before)
	if r := invoke(t, "", "--to", host+"/site", path); r.err != nil {
		t.Fatal(r.err)
	}
	c.reset()
	args := []string{"--to", host + "/site"}
	var want []samplebundle.Entry
	for _, kind := range []string{"index", "image", "chart"} {
		e := ofType(t, m, kind)
		args = append(args, "--alias", e.Repository+":"+e.Tag+"=also/"+kind+":other")
		want = append(want, as(e, "site/also/"+kind, "other"))
	}
	// One more tag in the same repository, and an alias of an alias.
	args = append(args, "--alias", "also/image:other=also/image:latest,also/image:latest=third:v1")
	want = append(want, as(want[1], "site/also/image", "latest"), as(want[1], "site/third", "v1"))
	for _, status := range []string{"pushed", "exists"} {
		r := invoke(t, "", args...)
		if r.err != nil || r.statuses()[status] != 5 || len(r.images) != 5 {
			t.Fatalf("%v, %v, want 5 %s\n%s", r.err, r.statuses(), status, r.stderr)
		}
		for _, i := range r.images {
			if i.PushedBytes != 0 || i.ExistingBytes != i.Size || i.Digest == "" || i.Reference != host+"/site/"+i.Repository+":"+i.Tag {
				t.Errorf("record = %+v, want a whole image and no byte pushed", i)
			}
		}
		if c.blobs.Load() != 0 {
			t.Errorf("%d requests carried blobs, want none", c.blobs.Load())
		}
		if status == "exists" && c.manifests.Load() != 0 {
			t.Errorf("%d manifests were put again", c.manifests.Load())
		}
		c.manifests.Store(0)
	}
	for _, e := range want {
		checkEntry(t, host, "", e)
	}
}

func TestAliasOfEveryTag(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 12})
	host := serve(t, nil)
	e := ofType(t, m, "image")
	if r := invoke(t, "", "--to", host, path); r.err != nil {
		t.Fatal(r.err)
	}
	more := []string{"--to", host, "--alias", e.Repository + ":" + e.Tag + "=" + e.Repository + ":second", "--alias", e.Repository + "=all/of/it"}
	r := invoke(t, "", more...)
	if r.err != nil || r.statuses()["pushed"] != 3 {
		t.Fatalf("%v, %v, want 3 pushed\n%s", r.err, r.statuses(), r.stderr)
	}
	checkEntry(t, host, "", as(e, "all/of/it", e.Tag))
	checkEntry(t, host, "", as(e, "all/of/it", "second"))
}

func TestAliasOfAnImageOfThisRun(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 12})
	images, _ := count(m)
	e := ofType(t, m, "index")
	aliases := []string{"--alias", e.Repository + ":" + e.Tag + "=also/index:v1", "--alias", "also/index:v1=third:v1"}
	host := serve(t, nil)
	for _, step := range []struct {
		plan   bool
		status string
	}{{true, "planned"}, {false, "pushed"}, {true, "exists"}, {false, "exists"}} {
		args := slices.Concat([]string{"--to", host}, aliases)
		if step.plan {
			args = append(args, "--plan")
		}
		r := invoke(t, strings.Join(records(t, path, m), ""), args...)
		if want := map[string]int{step.status: images + 2}; r.err != nil || !maps.Equal(r.statuses(), want) {
			t.Fatalf("plan %v: %v, %v, want %v\n%s", step.plan, r.err, r.statuses(), want, r.stderr)
		}
		if !strings.Contains(r.stderr, fmt.Sprintf("[%d/%[1]d] ", images+2)) {
			t.Errorf("stderr does not count to %d:\n%s", images+2, r.stderr)
		}
	}
	checkAll(t, host, "", m)
	checkEntry(t, host, "", as(e, "also/index", "v1"))
	checkEntry(t, host, "", as(e, "third", "v1"))
}

func TestAliasPlanSendsNothing(t *testing.T) {
	var c traffic
	path, m := write(t, samplebundle.Options{Archives: 12})
	host := serve(t, c.before)
	if r := invoke(t, "", "--to", host, path); r.err != nil {
		t.Fatal(r.err)
	}
	c.reset()
	e := ofType(t, m, "image")
	r := invoke(t, "", "--to", host, "--plan", "--alias", e.Repository+":"+e.Tag+"=also:v1")
	if r.err != nil || r.statuses()["planned"] != 1 || c.links.Load()+c.manifests.Load()+c.blobs.Load() != 0 {
		t.Errorf("%v, %v after %d links and %d manifests, want one planned and nothing sent", r.err, r.statuses(), c.links.Load(), c.manifests.Load())
	}
}

// If a registry cannot link, no bytes are sent either: that is reported, and no session
// stays open. Existing blobs are found.
func TestAliasAtARegistryThatCannotLink(t *testing.T) {
	var c traffic
	path, m := write(t, samplebundle.Options{Archives: 12})
	host := serve(t, c.before)
	e := ofType(t, m, "image")
	name := e.Repository + ":" + e.Tag
	args := []string{"--to", host, "--alias", name + "=also:v1"}
	if r := invoke(t, "", "--to", host, path); r.err != nil {
		t.Fatal(r.err)
	}
	c.reset()
	c.noLinks.Store(true)
	r := invoke(t, "", args...)
	if cli.Code(r.err) != cli.CodeFailed || c.blobs.Load() != 0 || c.ended.Load() != c.links.Load() {
		t.Errorf("%v, %d requests with blobs, %d of %d sessions ended", r.err, c.blobs.Load(), c.ended.Load(), c.links.Load())
	}
	for _, i := range r.images {
		if !strings.Contains(i.Error, "cannot link it from repository "+e.Repository) || i.Reference != host+"/also:v1" {
			t.Errorf("record = %+v, want an error about linking", i)
		}
	}
	c.noLinks.Store(false)
	if r := invoke(t, "", args...); r.err != nil {
		t.Fatal(r.err)
	}
	c.noLinks.Store(true)
	if r := invoke(t, "", args...); r.err != nil || r.statuses()["exists"] != 1 {
		t.Errorf("%v, %v, want it to exist", r.err, r.statuses())
	}
}

func TestAliasWithTokens(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 12})
	s := &tokens{}
	host := serve(t, s.before)
	e := ofType(t, m, "image")
	if r := pushAs(t, host, testSecret, path); r.err != nil {
		t.Fatal(r.err)
	}
	s.mounts = 0
	r := pushAs(t, host, testSecret, "--alias", e.Repository+"=also")
	if r.err != nil || s.mounts == 0 {
		t.Fatalf("%v after %d links\n%s", r.err, s.mounts, r.stderr)
	}
	s.open.Store(true)
	checkEntry(t, host, "", as(e, "also", e.Tag))
}

func TestAliasesThatFail(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 12})
	host := serve(t, nil)
	if r := invoke(t, "", "--to", host, path); r.err != nil {
		t.Fatal(r.err)
	}
	image, chart := ofType(t, m, "image"), ofType(t, m, "chart")
	name := image.Repository + ":" + image.Tag
	failing := line2(record.Image{Bundle: path, Entry: image.Path, Repository: image.Repository, Tag: image.Tag, Digest: "sha256:" + strings.Repeat("0", 64)})
	other := line2(record.Image{Bundle: path, Entry: chart.Path, Repository: "also", Tag: "v1"})
	for _, tt := range []struct {
		name, stdin, alias, want string
	}{
		{"no such tag", "", image.Repository + ":nosuch=also:v1", image.Repository + ":nosuch: no such image in the registry"},
		{"no such repository", "", "no/such=also", "no/such: no such repository in the registry"},
		{"its image failed", failing, name + "=also:v1", name + ": failed in this run"},
		{"one of its images failed", failing, image.Repository + "=also", name + ": failed in this run"},
		{"name of another", other, name + "=also:v1", "another entry of this run is " + host + "/also:v1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := invoke(t, tt.stdin, "--to", host, "--alias", tt.alias)
			if cli.Code(r.err) != cli.CodeFailed || !strings.Contains(r.stderr, tt.want) {
				t.Errorf("%v and %q, want %q", r.err, r.stderr, tt.want)
			}
			if i := r.images[" also:v1"]; tt.name == "no such tag" && (i.Status != record.StatusFailed || i.Error == "") {
				t.Errorf("record = %+v", i)
			}
		})
	}
	// A failing alias does not stop the next one.
	r := invoke(t, "", "--to", host, "--alias", "no/such:v1=x:v1", "--alias", name+"=fine:v1")
	if cli.Code(r.err) != cli.CodeFailed || r.statuses()["failed"] != 1 || r.statuses()["pushed"] != 1 {
		t.Errorf("%v, %v, want one failed and one pushed", r.err, r.statuses())
	}
	checkEntry(t, host, "", as(image, "fine", "v1"))
}

// If the bundle is not the verified one, nothing gets a name.
func TestNoAliasOfAnUnverifiedBundle(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 12})
	host := serve(t, nil)
	e := ofType(t, m, "image")
	head := line2(record.Bundle{Path: path, Digest: "sha256:" + strings.Repeat("ab", 32), Signature: record.SignatureGood})
	r := invoke(t, head+strings.Join(records(t, path, m), ""), "--to", host, "--alias", e.Repository+":"+e.Tag+"=also:v1")
	_, body, _ := fetch(t, "http://"+host+"/v2/also/tags/list")
	var tags struct{ Tags []string }
	if err := json.Unmarshal(body, &tags); r.err == nil || err != nil || len(tags.Tags) > 0 {
		t.Errorf("%v and tags %s, want a failure and none", r.err, body)
	}
}

// set returns the parsed value of --alias, and its text.
func set(value string) (aliases, string, error) {
	var c config
	err := c.flags().Set("alias", value)
	var all []string
	for _, one := range c.aliases {
		all = append(all, one.String())
	}
	return c.aliases, strings.Join(all, ","), err
}

func TestAliasSyntax(t *testing.T) {
	for _, in := range []string{"a=b", "a:1=b:2", "k8s/pause:3.10=pause:3.10,a/b=c"} {
		if _, got, err := set(in); err != nil || got != in {
			t.Errorf("--alias %q is %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "a", "a=", "=a", "a:1=b", "a=b:1", "a=a", "a:1=a:1", "A=b", "a=b=c", "a:1:2=b:1", "a=/b", "a@sha256:00=b", "a=b,",
		"a@sha256:" + strings.Repeat("0", 64) + "=b"} {
		if _, got, err := set(in); err == nil {
			t.Errorf("--alias %q is %q, want an error", in, got)
		}
	}
}

func FuzzAlias(f *testing.F) {
	for _, in := range []string{"a=b", "a:1=b:2,c=d", "=", ",", "a:=b:"} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		all, text, err := set(in)
		if err != nil {
			return
		}
		if again, same, err := set(text); err != nil || !slices.Equal(all, again) || same != text {
			t.Errorf("--alias %q is %q, which parses as %v, %v", in, text, again, err)
		}
	})
}
