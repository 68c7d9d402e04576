package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

const (
	maxK0s  = 1 << 30 // bytes of a k0s program
	maxSums = 1 << 20 // bytes of a list of digests
)

// downloadStep puts k0s on a host that may reach the world.
func (i *installer) downloadStep() step {
	needed := func(ctx context.Context) (string, bool) {
		wanted := i.cfg.k0sVersion
		have, err := i.k0s.Version(ctx)
		if err == nil && (wanted == "" || have.String() == wanted) {
			return have.String(), false
		}
		return wanted, true
	}
	return step{
		name: "k0s-download",
		plan: func(ctx context.Context) (outcome, error) {
			v, missing := needed(ctx)
			if !missing {
				return unchanged("%s is %s", i.k0s.Path, v), nil
			}
			return planned("%s: %s", i.k0s.Path, i.downloadURL(v)), nil
		},
		run: func(ctx context.Context) (outcome, error) {
			v, missing := needed(ctx)
			if !missing {
				return unchanged("%s is %s", i.k0s.Path, v), nil
			}
			return i.download(ctx, v)
		},
	}
}

// downloadURL is where k0s's makers publish a version: URL/VERSION/FILE.
func (i *installer) downloadURL(version string) string {
	v, _ := k0s.ParseVersion(version)
	base := strings.TrimSuffix(i.cfg.k0sDownload, "/") + "/" + escapePlus(v.String()) + "/"
	return base + escapePlus(v.FileName(i.host.arch))
}

// escapePlus writes a plus sign such that no server takes it for a space.
func escapePlus(s string) string { return strings.ReplaceAll(s, "+", "%2B") }

// download gets k0s, compares it with the digest that is published beside it,
// and puts it in place.
func (i *installer) download(ctx context.Context, version string) (outcome, error) {
	from := i.downloadURL(version)
	want, err := i.publishedDigest(ctx, from)
	if err != nil {
		return outcome{}, err
	}
	body, size, err := get(ctx, from)
	if err != nil {
		return outcome{}, err
	}
	defer body.Close()
	f, err := hostfile.Create(i.k0s.Path, 0o755)
	if err != nil {
		return outcome{}, err
	}
	defer f.Abort()
	hash := sha256.New()
	count := &counter{}
	i.progress.Start("k0s "+version, size, count.at)
	n, err := io.Copy(io.MultiWriter(f, hash, count), io.LimitReader(body, maxK0s+1))
	i.progress.Close()
	switch {
	case err != nil:
		return outcome{}, cli.TryAgain(fmt.Errorf("%s: %w", from, err))
	case n > maxK0s:
		return outcome{}, fmt.Errorf("%s: more than %s", from, record.Bytes(maxK0s))
	case hex.EncodeToString(hash.Sum(nil)) != want:
		return outcome{}, fmt.Errorf("%s: checksum does not match the published one: want sha256:%s, got sha256:%x", from, want, hash.Sum(nil))
	}
	i.state.own(i.k0s.Path, "sha256:"+want, "")
	if err := i.state.save(); err != nil {
		return outcome{}, err
	}
	r, err := f.Commit()
	if err != nil {
		return outcome{}, err
	}
	r.Version, r.Source = version, from
	if err := i.out.Write(r); err != nil {
		return outcome{}, err
	}
	i.k0s.missing = false
	if i.k0s.version, err = i.k0s.Version(ctx); err != nil {
		return outcome{}, err
	}
	return done("%s: %s", i.k0s.Path, from), i.k0s.Validate(ctx, i.yaml.merged)
}

// publishedDigest reads sha256sums.txt beside a file.
func (i *installer) publishedDigest(ctx context.Context, from string) (string, error) {
	dir, file := from[:strings.LastIndexByte(from, '/')+1], from[strings.LastIndexByte(from, '/')+1:]
	body, _, err := get(ctx, dir+"sha256sums.txt")
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxSums))
	if err != nil {
		return "", cli.TryAgain(fmt.Errorf("%ssha256sums.txt: %w", dir, err))
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 2 && escapePlus(strings.TrimPrefix(f[1], "*")) == file && len(f[0]) == 2*sha256.Size {
			return strings.ToLower(f[0]), nil
		}
	}
	return "", fmt.Errorf("%ssha256sums.txt: nothing about %s", dir, file)
}

// get asks for a file and gives its size, or 0 if that is not told.
func get(ctx context.Context, url string) (io.ReadCloser, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, cli.Misuse("--k0s-download: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second,
	}}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
		return nil, 0, cli.TryAgain(err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		err := fmt.Errorf("%s: %s", url, resp.Status)
		if resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests {
			return nil, 0, cli.TryAgain(err)
		}
		return nil, 0, err
	}
	return resp.Body, max(0, resp.ContentLength), nil
}
