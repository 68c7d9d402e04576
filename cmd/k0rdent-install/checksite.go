package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
)

// maxSkew is how far two clocks may be apart. Certificates that k0s makes are
// valid from the moment on, and etcd members and kubelets compare them.
const maxSkew = 5 * time.Minute

// checkSite asks the registry whether everything is there.
func (p *preflight) checkSite(ctx context.Context) {
	s := p.site
	if client.Loopback(s.host) && !p.cfg.singleHost && !p.cfg.online {
		hint := "name an address of this host"
		if _, port, err := net.SplitHostPort(s.host); err == nil && p.node.address.IsValid() {
			hint = "give --registry " + strings.Replace(s.at, s.host, net.JoinHostPort(p.node.address.String(), port), 1)
		}
		p.fail("registry", hint, "%s is this host for this host only: in a pod, it is the pod", s.host)
	}
	if err := s.reg.Connect(ctx); err != nil {
		p.fail("registry", "", "%s: %v", s.at, err)
		return
	}
	p.checkReply(ctx)
	if p.cfg.plainHTTP && !p.join && !p.cfg.online {
		p.warn("registry", "%s speaks plain HTTP: the platform's Cluster API operator asks over HTTPS only, and Management will not get ready", s.at)
	}
	if p.in.failed > 0 {
		p.warn("registry", "oci-push could not push %d images", p.in.failed)
	}
	if p.join {
		return
	}
	p.checkRelease(ctx)
}

// checkReply compares clocks and certificates, and finds out whether the
// platform will need a login that only this host's user has.
func (p *preflight) checkReply(ctx context.Context) {
	now := time.Now()
	for rest := p.site.ca; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err == nil && (now.Before(c.NotBefore) || now.After(c.NotAfter)) {
			p.fail("time", "set the clock", "it is %s here, and the registry's authority is valid from %s to %s", stamp(now), stamp(c.NotBefore), stamp(c.NotAfter))
		}
	}
	r, err := p.site.reg.Page(ctx, "/v2/")
	if err != nil {
		p.warn("time", "the registry's clock cannot be compared: %v", err)
		return
	}
	if r.Status == http.StatusUnauthorized && p.cfg.username == "" && !p.join && !p.cfg.online {
		p.warn("registry", "%s asks for a login; if that is needed to read, the platform gets one by --username and --password-file only", p.site.at)
	}
	if skew := now.Sub(r.Date).Abs(); !r.Date.IsZero() && skew > maxSkew {
		p.fail("time", "set the clock", "it is %s here and %s at the registry", stamp(now), stamp(r.Date))
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkRelease loads the chart, derives its values, and looks for everything
// that it will ask for.
func (p *preflight) checkRelease(ctx context.Context) {
	if err := p.loadRelease(ctx); err != nil {
		p.fail("chart", "", "%v", err)
		return
	}
	r := p.release
	p.note("%s %s", r.chart.Name(), r.chart.Version())
	for _, n := range r.notes {
		text := n.Text
		if n.Value != "" {
			text = n.Value + ": " + text
		}
		if n.Warning {
			p.warn("values", "%s", text)
		} else {
			p.log.Debug(text)
		}
	}
	if err := p.planBalance(ctx); err != nil {
		p.fail("k0s.yaml", "", "%v", err)
		return
	}
	if p.cfg.online {
		return // the public registries are what the chart was made for
	}
	if r.k0sNote != "" {
		p.warn("k0s-url", "%s", r.k0sNote)
	}
	if err := p.closure(ctx); err != nil {
		p.fail("images", "", "%v", err)
		return
	}
	p.checkNeeds()
	p.checkDisk(ctx)
	p.checkLoad(ctx)
}

// closure asks for everything that the platform and k0s will ask for.
func (p *preflight) closure(ctx context.Context) error {
	r := p.release
	needs, demand, err := r.chart.Closure(ctx, r.values, r.site, p.site)
	if err != nil {
		return err
	}
	if len(p.yaml.merged) > 0 && p.k0s.version.Major > 0 {
		images, err := p.k0s.images(ctx, p.yaml.merged)
		if err != nil {
			return err
		}
		who := "k0s " + p.k0s.version.String()
		k0sNeeds, err := chart.Check(ctx, images, who, r.site, p.site)
		if err != nil {
			return err
		}
		p.k0sNeeds = k0sNeeds
	}
	p.needs, p.demand = needs, demand
	return nil
}

// checkNeeds tells of each thing that is missing, in a record and to a person.
func (p *preflight) checkNeeds() {
	missing, optional := 0, 0
	var moved []error
	for _, n := range append(append([]chart.Need{}, p.needs...), p.k0sNeeds...) {
		switch {
		case n.Moved != nil:
			moved = append(moved, n.Moved)
		case n.Missing && n.Optional:
			optional++
			p.warn("images", "%s: %s", n.Reference, lacks(n))
		case n.Missing:
			missing++
			p.missing = append(p.missing, record.Image{Reference: n.Reference, Type: n.Kind, Status: record.StatusFailed, Error: lacks(n)})
		case n.Outside && !fromK0s(p.k0sNeeds, n):
			hint := ""
			if n.Value != "" {
				hint = " (--set " + n.Value + "=…)"
			}
			p.warn("images", "%s: %s%s", n.Reference, n.Remark, hint)
		case n.Remark != "" && !n.Outside:
			p.warn("images", "%s: %s", n.Reference, n.Remark)
		}
	}
	for i, err := range moved {
		if i > 0 {
			err = isMoved(err) // without the hint, which is the same
		}
		p.fail("registry", "", "%v", err)
	}
	total := len(p.needs) + len(p.k0sNeeds)
	p.note("%d images, charts and artifacts", total-missing-optional-len(moved))
	if missing > 0 {
		p.fail("images", "bundle-ls BUNDLE | oci-push --to "+p.site.at, "%d of %d are not in the registry", missing, total)
	}
}

func fromK0s(needs []chart.Need, n chart.Need) bool {
	for _, k := range needs {
		if k.Reference == n.Reference {
			return true
		}
	}
	return false
}

// lacks says who wants what is missing, and what there is instead.
func lacks(n chart.Need) string {
	s := "not in the registry; wanted by " + strings.Join(n.WantedBy, ", ")
	if n.Nearest != "" {
		s += "; the nearest is " + n.Nearest
	}
	if n.Remark != "" {
		s += "; " + n.Remark
	}
	if n.Value != "" {
		s += "; its value is " + n.Value
	}
	return s
}

const (
	// k0sDisk is what k0s's makers ask for, for a controller with a worker.
	k0sDisk = 2_000_000_000
	// unpacked is how much an image takes on disk against what it is in a
	// registry: the layers as they came, and what they unpack to.
	unpacked = 3.5
	// kubelet evicts pods when less than this share of the disk is free.
	keptFree = 0.15
)

// checkDisk compares what images will take with what is there.
func (p *preflight) checkDisk(ctx context.Context) {
	if p.k0s.running != nil && !p.upgrade {
		return // they are there already
	}
	size, err := p.imageBytes(ctx)
	if err != nil {
		p.warn("disk", "how much room the images take is not known: %v", err)
		return
	}
	need := int64(k0sDisk + unpacked*float64(size))
	dir := existing(p.host.data)
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		p.fail("disk", "", "%s: %v", dir, err)
		return
	}
	free, total := int64(fs.Bavail)*fs.Bsize, int64(fs.Blocks)*fs.Bsize
	p.note("%s of images", record.Bytes(size))
	switch left := free - need; {
	case left < 0:
		p.fail("disk", "give "+p.host.data+" a larger file system", "%s has %s free; k0s and the images take about %s", dir, record.Bytes(free), record.Bytes(need))
	case float64(left) < keptFree*float64(total):
		p.fail("disk", "give "+p.host.data+" a larger file system", "%s has %s free; with about %s for k0s and the images, less than 15 %% of %s would stay free, below which pods are evicted",
			dir, record.Bytes(free), record.Bytes(need), record.Bytes(total))
	}
}

// existing gives the directory that a path is or will be in.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}
