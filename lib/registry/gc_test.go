package registry

import (
	"context"
	"testing"
)

// Mount, deduplication and deletion are links; gc takes what has none.
func TestLinksAndCollect(t *testing.T) {
	reg := newRegistry(t)
	d := reg.pushBlob("a", []byte("shared"))
	pool := reg.path(poolPath(d))
	reg.want(201, "POST", "/v2/b/blobs/uploads/?mount="+string(d)+"&from=a", nil)
	reg.want(201, "POST", "/v2/c/blobs/uploads/?mount="+string(d), nil)
	reg.want(202, "POST", "/v2/c/blobs/uploads/?mount="+dig256, nil)
	if n := links(t, pool); n != 4 {
		t.Errorf("%d links, want the pool's and three more", n)
	}
	for _, name := range []string{"a", "b"} {
		reg.want(202, "DELETE", "/v2/"+name+"/blobs/"+string(d), nil)
		reg.want(404, "GET", "/v2/"+name+"/blobs/"+string(d), nil)
		reg.want(404, "DELETE", "/v2/"+name+"/blobs/"+string(d), nil)
	}
	gone := reg.pushBlob("a", []byte("gone"))
	reg.want(202, "DELETE", "/v2/a/blobs/"+string(gone), nil)
	got, err := reg.disk.Collect(context.Background(), false)
	if err != nil || got != (Collected{Removed: 1, Kept: 1, RemovedBytes: 4, KeptBytes: 6, Repositories: 2}) {
		t.Errorf("Collect = %+v, %v", got, err)
	}
	reg.want(200, "GET", "/v2/c/blobs/"+string(d), nil)
	reg.want(202, "POST", "/v2/c/blobs/uploads/?mount="+string(gone), nil)
}

// What a deleted manifest leaves in its repository is taken out a day later;
// what a manifest names, in whatever field, stays.
func TestCollectUnnamed(t *testing.T) {
	reg := newRegistry(t)
	layer := reg.pushBlob("a", []byte("layer"))
	reg.pushBlob("b", []byte("layer"))
	artifact := reg.pushBlob("a", []byte("artifact"))
	reg.want(201, "PUT", "/v2/a/manifests/v1", []byte(`{"blobs":[{"digest":"sha256\u003a`+string(artifact)[7:]+`"}]}`), "Content-Type", "application/vnd.example+json")
	reg.pushImage("a", "v2", "x") // its config
	if got, err := reg.disk.Collect(context.Background(), false); err != nil || got.Removed != 0 {
		t.Errorf("Collect = %+v, %v, want nothing removed that has just come", got, err)
	}
	reg.age(layer)
	reg.age(artifact)
	got, err := reg.disk.Collect(context.Background(), false)
	if err != nil || got.Removed != 1 || got.Kept != 4 || got.Repositories != 1 {
		t.Errorf("Collect = %+v, %v, want the layer removed; artifact, config and two manifests kept", got, err)
	}
	reg.want(404, "GET", "/v2/a/blobs/"+string(layer), nil)
	reg.want(404, "GET", "/v2/b/blobs/"+string(layer), nil)
	reg.want(200, "GET", "/v2/a/blobs/"+string(artifact), nil)
	reg.want(200, "GET", "/v2/a/manifests/v2", nil)
	checkStorage(t, reg.dir)
}
