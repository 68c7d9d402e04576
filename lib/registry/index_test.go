package registry

import (
	"context"
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
		t.Errorf("after a stop index.json says %v, want %v", got, want)
	}
	if left, _ := os.ReadDir(reg.path(staleDir)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	reg.start()
}

// A start after a kill writes what was behind, and one after a crash of the host
// compares all.
func TestIndexAfterCrash(t *testing.T) {
	reg := newRegistry(t)
	one := reg.pushImage("a/b", "v1", "one")
	reg.stop()
	index := reg.path(repoPath("a/b", "index.json"))
	broken := func() {
		t.Helper()
		if err := os.WriteFile(index, []byte(`{"manifests":[]}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	broken()
	if err := os.WriteFile(reg.path(stalePath("a/b")), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	reg.start()
	if got := listed(t, reg.dir, "a/b"); got["v1"] != one {
		t.Errorf("after a kill index.json says %v", got)
	}
	broken()
	if n, err := reg.disk.RenewIndexes(context.Background()); n != 1 || err != nil {
		t.Errorf("RenewIndexes = %d, %v, want 1", n, err)
	}
	if n, err := reg.disk.RenewIndexes(context.Background()); n != 0 || err != nil {
		t.Errorf("RenewIndexes = %d, %v, want nothing to do", n, err)
	}
	broken()
	reg.stop()
	text := []byte(`{"time":"2026-01-01T00:00:00Z","boot":"another","uptime":1}`)
	if err := os.WriteFile(reg.path(clockFile), text, 0o644); err != nil {
		t.Fatal(err)
	}
	for reg.start(); reg.disk.clock.behind(); reg.restart() { // a stop ends what runs in the background
		time.Sleep(20 * time.Millisecond)
	}
	if got := listed(t, reg.dir, "a/b"); got["v1"] != one {
		t.Errorf("after a crash index.json says %v", got)
	}
}
