package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

// preflight checks the cluster, and that the registry has everything that the
// platform requires. It changes nothing.
func (i *installer) preflight(ctx context.Context, _ bool) (step.Outcome, error) {
	i.checkCluster(ctx)
	i.checkSite(ctx)
	if ctx.Err() != nil {
		return step.Outcome{}, context.Cause(ctx)
	}
	return i.Report(&i.Problems)
}

// checkSite checks the registry and the release in it.
func (i *installer) checkSite(ctx context.Context) {
	s := i.site
	if !i.cfg.online {
		i.CheckLoopback(s.at, i.node.Address)
	}
	if err := s.reg.Connect(ctx); err != nil {
		i.Fail("registry", "", "%s: %v", s.at, err)
		return
	}
	if r, err := s.reg.Page(ctx, "/v2/"); err == nil && r.Status == http.StatusUnauthorized && i.cfg.Username == "" && !i.cfg.online {
		i.Warn("registry", "%s requires a login; if it does to pull, set --username and --password-file, which the platform then uses", s.at)
	}
	if i.cfg.PlainHTTP && !i.cfg.online {
		i.Warn("registry", "%s uses plain HTTP, but the platform's Cluster API operator requires HTTPS: k0rdent will not become ready", s.at)
	}
	if i.in.Failed > 0 {
		i.Warn("registry", "oci-push could not push %s", step.Count(i.in.Failed, "image", "images"))
	}
	i.checkRelease(ctx)
}

// checkRelease loads the chart, derives its values, and checks that the registry has
// everything that it requires.
func (i *installer) checkRelease(ctx context.Context) {
	if err := i.loadRelease(ctx); err != nil {
		i.Fail("chart", "", "%v", err)
		return
	}
	r := i.release
	i.Note("%s %s", r.chart.Name(), r.chart.Version())
	for _, n := range r.notes {
		text := n.Text
		if n.Value != "" {
			text = n.Value + ": " + text
		}
		if n.Warning {
			i.Warn("values", "%s", text)
		} else {
			i.Log.Debug(text)
		}
	}
	if i.cfg.online {
		return // the chart's defaults are the public registries
	}
	if r.k0sFinding.Check != "" {
		i.Add(r.k0sFinding)
	}
	var err error
	if i.needs, i.demand, err = r.chart.Closure(ctx, r.values, r.site, i.site); err != nil {
		i.Fail("images", "", "%v", err)
		return
	}
	i.checkNeeds()
	i.checkNodes()
	i.checkDisk(ctx)
	i.checkLoad(ctx)
}

// checkNeeds reports everything that is missing.
func (i *installer) checkNeeds() {
	missing, optional := 0, 0
	moved := 0
	for _, n := range i.needs {
		switch {
		case n.Moved != nil:
			hint := ""
			if moved++; moved == 1 {
				hint = client.MovedHint(tool)
			}
			i.Fail("registry", hint, "%v", n.Moved)
		case n.Missing && n.Optional:
			optional++
			i.Warn("images", "%s: %s", n.Reference, lacks(n))
		case n.Missing:
			missing++
			i.Missing = append(i.Missing, record.Image{Reference: n.Reference, Type: n.Kind, Status: record.StatusFailed, Error: lacks(n)})
		case n.Outside:
			hint := ""
			if n.Value != "" {
				hint = " (--set " + n.Value + "=…)"
			}
			i.Warn("images", "%s: %s%s", n.Reference, n.Remark, hint)
		case n.Remark != "" && !n.Outside:
			i.Warn("images", "%s: %s", n.Reference, n.Remark)
		}
	}
	total := len(i.needs)
	i.Note("%d images, charts and artifacts", total-missing-optional-moved)
	if missing > 0 {
		i.Fail("images", "bundle-ls BUNDLE | oci-push --to "+i.site.at, "%d of %d are not in the registry", missing, total)
	}
}

// checkNodes warns what the nodes of a foreign cluster must be able to do, which
// cannot be checked from here.
func (i *installer) checkNodes() {
	if !i.foreign() {
		return
	}
	var mirrored []string
	count := 0
	for _, n := range i.needs {
		if n.Kind != chart.KindImage || !n.Outside || n.Missing {
			continue
		}
		count++
		if host, _, _ := strings.Cut(n.Reference, "/"); !slices.Contains(mirrored, host) {
			mirrored = append(mirrored, host)
		}
	}
	trust := ""
	if len(i.site.ca) > 0 {
		trust = ", and trust the certificates of " + i.cfg.CA
	}
	i.Warn("nodes", "not checked: every node of this cluster must be able to pull from %s%s", i.site.host, trust)
	if count > 0 {
		slices.Sort(mirrored)
		i.Warn("nodes", "not checked: %s public names; on every node, the container runtime must have %s as mirror of %s",
			step.Count(count, "image keeps its", "images keep their"), i.site.at, strings.Join(mirrored, ", "))
	}
}

// lacks describes what is missing: what requires it, and the nearest match.
func lacks(n chart.Need) string {
	s := "not in the registry; required by " + strings.Join(n.RequiredBy, ", ")
	if n.Nearest != "" {
		s += "; the nearest match is " + n.Nearest
	}
	if n.Remark != "" {
		s += "; " + n.Remark
	}
	if n.Value != "" {
		s += "; set by the value " + n.Value
	}
	return s
}

const (
	// k0sDisk is what k0s's documentation requires for a controller with a worker.
	k0sDisk = 2_000_000_000
	// unpacked is the size of an image on disk, its layers both compressed and
	// unpacked, relative to its size in a registry.
	unpacked = 3.5
	// keptFree is the share of the disk below which kubelet evicts pods.
	keptFree = 0.15
)

// checkDisk compares the free disk space with the size of the images.
func (i *installer) checkDisk(ctx context.Context) {
	if i.foreign() || i.cluster != nil && !i.cfg.upgrade {
		return // other hosts pull the images, or this one already has them
	}
	size, err := i.imageBytes(ctx)
	if err != nil {
		i.Warn("disk", "cannot determine the size of the images: %v", err)
		return
	}
	need := int64(k0sDisk + unpacked*float64(size))
	dir := existing(i.host.data)
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		i.Fail("disk", "", "%s: %v", dir, err)
		return
	}
	free, total := int64(fs.Bavail)*fs.Bsize, int64(fs.Blocks)*fs.Bsize
	i.Note("%s of images", record.Bytes(size))
	switch left := free - need; {
	case left < 0:
		i.Fail("disk", "give "+i.host.data+" a larger file system", "%s has %s free; k0s and the images take about %s", dir, record.Bytes(free), record.Bytes(need))
	case float64(left) < keptFree*float64(total):
		i.Fail("disk", "give "+i.host.data+" a larger file system", "%s has %s free; k0s and the images take about %s, which leaves less than 15 %% of %s free, and pods would be evicted",
			dir, record.Bytes(free), record.Bytes(need), record.Bytes(total))
	}
}

// existing returns path, or its nearest parent that exists.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}
