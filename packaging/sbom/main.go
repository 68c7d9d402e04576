// Command sbom writes the bill of materials of a Go binary to standard output,
// as CycloneDX JSON: the modules that the linker recorded in the binary, each
// with its version and checksum, and the standard library.
//
//	sbom NAME VERSION BINARY
//
// The same binary, name, version and SOURCE_DATE_EPOCH result in the same bytes:
// there is no serial number and no other time.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: sbom NAME VERSION BINARY")
		os.Exit(2)
	}
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		err = fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	} else {
		err = write(os.Stdout, os.Args[1], os.Args[2], os.Args[3], time.Unix(epoch, 0))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func write(w io.Writer, name, version, path string, at time.Time) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(content)
	bom, err := describe(info)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	bom.Metadata.Timestamp = at.UTC().Format(time.RFC3339)
	bom.Metadata.Component.Name = name
	bom.Metadata.Component.Version = version
	bom.Metadata.Component.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(digest[:])}}
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
}

// describe returns what the linker recorded: how the program was built, and its
// modules.
func describe(info *debug.BuildInfo) (*cdx.BOM, error) {
	var built []cdx.Property
	for _, s := range info.Settings {
		built = append(built, cdx.Property{Name: "build:" + s.Key, Value: s.Value})
	}
	components := []cdx.Component{{
		BOMRef:     "std",
		Type:       cdx.ComponentTypeLibrary,
		Name:       "std",
		Version:    info.GoVersion,
		PackageURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go"),
	}}
	for _, m := range info.Deps {
		c, err := component(m)
		if err != nil {
			return nil, err
		}
		components = append(components, c)
	}
	depends := make([]string, len(components))
	for i, c := range components {
		depends[i] = c.BOMRef
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &cdx.Component{
		BOMRef:     "tool",
		Type:       cdx.ComponentTypeApplication,
		Properties: &built,
		Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
	}}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: "tool", Dependencies: &depends}}
	return bom, nil
}

// component describes a module as it went into the binary. Its checksum is the
// "h1" of go.sum, the SHA-256 of the list of its files' digests.
func component(m *debug.Module) (cdx.Component, error) {
	if m.Replace != nil {
		m = m.Replace
	}
	sum, ok := strings.CutPrefix(m.Sum, "h1:")
	digest, err := base64.StdEncoding.DecodeString(sum)
	if !ok || err != nil || len(digest) != sha256.Size {
		return cdx.Component{}, errors.New(m.Path + ": no checksum, it is not a published module")
	}
	purl := "pkg:golang/" + m.Path + "@" + url.QueryEscape(m.Version) + "?type=module"
	return cdx.Component{
		BOMRef:     purl,
		Type:       cdx.ComponentTypeLibrary,
		Name:       m.Path,
		Version:    m.Version,
		PackageURL: purl,
		Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(digest)}},
	}, nil
}
