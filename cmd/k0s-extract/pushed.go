package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// isPushed reports whether records on stdin name the images to read from the
// registry of --from.
func (c *config) isPushed(operand string) bool {
	if _, absent := os.Stat(c.from); operand != "-" || !ref.HasHost(c.from+"/") || absent == nil {
		return false
	}
	_, err := ref.ParseSite(c.from)
	return err == nil
}

// errNotPushed is the error of records that do not name k0s.
var errNotPushed = cli.Hint(errors.New("stdin: no record names an image "+repository+" in the registry"),
	"push a bundle that contains one with oci-push, and pipe its records here")

// fromPushed reads k0s from the images in the registry at HOST[:PORT][/PREFIX]
// that records of oci-push on stdin name: the newest version or every version,
// always by the digest of the record. Anyone who can write to the registry can
// move a tag.
func (w *request) fromPushed(ctx context.Context, at string, o client.Options, in pipe.Reader, stdin io.Reader) ([]found, error) {
	if err := cli.CheckStdin(stdin); err != nil {
		return nil, err
	}
	site, err := ref.ParseSite(at)
	if err != nil {
		return nil, err
	}
	images, err := readPushed(ctx, in, stdin, site)
	if err != nil {
		return nil, err
	}
	wanted, err := w.choose("stdin", images)
	if err != nil {
		return nil, err
	}
	reg, err := connect(ctx, site.Host, o)
	if err != nil {
		return nil, err
	}
	return w.fromTags(ctx, reg, wanted)
}

// readPushed reads records to their end and passes them on. If two name the same
// version, the later one counts.
func readPushed(ctx context.Context, in pipe.Reader, stdin io.Reader, site ref.Site) (map[k0s.Version]tagged, error) {
	all := make(map[k0s.Version]tagged)
	for line, err := range in.Records(ctx, stdin) {
		if err != nil {
			return nil, err
		}
		var i record.Image
		if line.Kind != i.Kind() {
			continue
		}
		if err := line.Decode(&i); err != nil {
			return nil, fmt.Errorf("stdin: %w", err)
		}
		v, err := k0s.ParseVersion(i.Tag)
		if err != nil || i.Status == record.StatusFailed || !isK0s(i) {
			continue
		}
		r := ref.Reference{Host: site.Host, Repository: site.Repository(i.Repository), Tag: i.Tag}
		if i.Digest == "" {
			return nil, fmt.Errorf("stdin: line %d: the record of %s has no digest", line.Number, r)
		}
		if r.Digest, err = ref.ParseDigest(i.Digest); err == nil {
			err = r.Check()
		}
		if err != nil {
			return nil, fmt.Errorf("stdin: line %d: %w", line.Number, err)
		}
		all[v] = tagged{r, &v, runnable(i.Platforms)}
	}
	if len(all) == 0 {
		return nil, errNotPushed
	}
	return all, nil
}

// runnable returns the platforms for which k0s exists; this machine's if a record
// names none.
func runnable(names []string) oci.Platforms {
	var all oci.Platforms
	seen := make(map[string]bool)
	for _, name := range names {
		p, err := v1.ParsePlatform(name)
		if err != nil || p.OS != "linux" || machines()[p.Architecture] == 0 || seen[p.Architecture] {
			continue
		}
		seen[p.Architecture] = true
		all = append(all, v1.Platform{OS: p.OS, Architecture: p.Architecture})
	}
	if len(all) == 0 {
		return oci.Platforms{here()}
	}
	return all
}
