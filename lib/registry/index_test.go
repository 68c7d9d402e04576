package registry

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"testing"
	"time"
)

// index.json follows the last change within a second, for other programs.
func TestIndexFollows(t *testing.T) {
	reg := newRegistry(t)
	one, two := reg.pushImage("a", "v1", "one"), reg.pushImage("a", "v2", "two")
	reg.want(202, "DELETE", "/v2/a/manifests/v2", nil)
	want := map[string]Digest{"v1": one, "@" + string(two): two}
	end := time.Now().Add(time.Second)
	for {
		if _, err := os.Stat(reg.path(repoPath("a", "index.json"))); err == nil && maps.Equal(listed(t, reg.dir, "a"), want) {
			break
		}
		if time.Now().After(end.Add(4 * time.Second)) { // a busy machine
			t.Fatalf("index.json has not followed")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if text, err := os.ReadFile(reg.path(repoPath("a", "oci-layout"))); err != nil || string(text) != layoutText {
		t.Errorf("oci-layout: %q, %v", text, err)
	}
	three := reg.pushImage("a", "v3", "three")
	reg.stop()
	want["v3"] = three
	if got := listed(t, reg.dir, "a"); !maps.Equal(got, want) {
		t.Errorf("after a stop index.json lists %v, want %v", got, want)
	}
	reg.start()
}

// A start writes the stale indexes after a kill or a crash of the host.
func TestIndexAfterCrash(t *testing.T) {
	reg := newRegistry(t)
	one := reg.pushImage("a/b", "v1", "one")
	reg.stop()
	index := reg.path(repoPath("a/b", "index.json"))
	text, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Replace(text, []byte(`"v1"`), []byte(`"v2"`), 1)
	for _, c := range []struct {
		name, boot string
		broken     []byte
	}{
		{"a kill", bootID(), []byte(`{"manifests":[]}`)},
		{"a kill while the index was written", bootID(), text[:len(text)-3]},
		{"a crash of the host", "another", damaged},
	} {
		if err := os.WriteFile(index, c.broken, 0o644); err != nil {
			t.Fatal(err)
		}
		note := fmt.Appendf(nil, `{"time":"2026-01-01T00:00:00Z","boot":%q,"uptime":1}`, c.boot)
		if err := os.WriteFile(reg.path(clockFile), note, 0o644); err != nil {
			t.Fatal(err)
		}
		reg.start()
		reg.stop() // does not cut the repair short
		if got, err := readListed(reg.dir, "a/b"); err != nil || got["v1"] != one {
			t.Errorf("after %s and a stop at once index.json lists %v, %v", c.name, got, err)
		}
		if err := os.WriteFile(index, c.broken, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(reg.path(clockFile), note, 0o644); err != nil {
			t.Fatal(err)
		}
		reg.start()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			got, err := readListed(reg.dir, "a/b") // damaged until it is written anew
			if err == nil && got["v1"] == one {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("after %s index.json lists %v, %v", c.name, got, err)
			}
		}
		reg.stop()
	}
	// A crash of the host may also truncate the other file, which is not synced either.
	layout := reg.path(repoPath("a/b", "oci-layout"))
	if err := os.Truncate(layout, 0); err != nil {
		t.Fatal(err)
	}
	reg.start()
	if n, err := reg.disk.RenewIndexes(context.Background()); n != 1 || err != nil {
		t.Errorf("RenewIndexes with a truncated oci-layout = %d, %v, want 1", n, err)
	}
	if text, err := os.ReadFile(layout); err != nil || string(text) != layoutText {
		t.Errorf("oci-layout: %q, %v", text, err)
	}
	if n, err := reg.disk.RenewIndexes(context.Background()); n != 0 || err != nil {
		t.Errorf("RenewIndexes = %d, %v, want nothing to do", n, err)
	}
	if err := os.WriteFile(index, []byte(`{"manifests":[]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if n, err := reg.disk.RenewIndexes(context.Background()); n != 1 || err != nil {
		t.Errorf("RenewIndexes = %d, %v, want 1", n, err)
	}
}
