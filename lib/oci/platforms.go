package oci

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Platforms is the value of a flag that names platforms, such as
// "linux/amd64,linux/arm64". It is empty where the flag is not given.
type Platforms []v1.Platform

func (p *Platforms) String() string {
	var all []string
	for _, one := range *p {
		all = append(all, one.String())
	}
	return strings.Join(all, ",")
}

// Set takes the list in place of what was there.
func (p *Platforms) Set(s string) error {
	*p = nil
	for one := range strings.SplitSeq(s, ",") {
		parsed, err := v1.ParsePlatform(one)
		if err != nil || parsed.OS == "" || parsed.Architecture == "" {
			return errors.New("want OS/ARCHITECTURE such as linux/amd64")
		}
		if slices.ContainsFunc(*p, parsed.Equals) {
			return fmt.Errorf("%s is there twice", one)
		}
		*p = append(*p, *parsed)
	}
	return nil
}
