package ref

import (
	"strings"
)

// A Reference names an image or a repository: [HOST/]REPOSITORY[:TAG][@DIGEST].
type Reference struct {
	Host       string // HOST[:PORT]; empty below a registry, or if it is omitted
	Repository string
	Tag        string // may be empty
	Digest     Digest // may be empty
}

// Parse parses the name of an image below a registry: REPOSITORY[:TAG][@DIGEST].
func Parse(s string) (Reference, error) {
	name, tag, digest := cut(s)
	r := Reference{Repository: name}
	if err := CheckRepository(name); err != nil {
		return Reference{}, err
	}
	if tag != "" {
		if r.Tag = tag[1:]; CheckTag(r.Tag) != nil {
			return Reference{}, CheckTag(r.Tag)
		}
	}
	if digest != "" {
		var err error
		if r.Digest, err = ParseDigest(digest[1:]); err != nil {
			return Reference{}, err
		}
	}
	return r, nil
}

// ParseImage parses the name of any image, as a container runtime does. Host is empty
// if it is omitted; see Normalized.
func ParseImage(s string) (Reference, error) {
	host, rest := "", s
	if HasHost(s) {
		host, rest, _ = strings.Cut(s, "/")
		if err := CheckHost(host); err != nil {
			return Reference{}, err
		}
		if strings.Contains(host, "_") {
			return Reference{}, &problem{"host", host, "container runtimes allow no underscore"}
		}
	}
	r, err := Parse(rest)
	if err != nil {
		return Reference{}, err
	}
	r.Host = host
	return r, nil
}

// HasHost reports whether the first part of a name is a registry rather than a
// directory: it has a dot or a port, or is localhost (distribution/reference,
// "splitDockerDomain").
func HasHost(s string) bool {
	first, _, found := strings.Cut(s, "/")
	return found && (strings.ContainsAny(first, ".:") && first[0] != '.' || first == "localhost")
}

// cut splits NAME[:TAG][@DIGEST]. tag and digest keep their separators, which
// distinguish an empty one from none.
func cut(s string) (name, tag, digest string) {
	name = s
	if i := strings.IndexByte(name, '@'); i >= 0 {
		name, digest = name[:i], name[i:]
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i:]
	}
	return name, tag, digest
}

// Check returns an error if r is not a repository and a tag.
func (r Reference) Check() error {
	if err := CheckRepository(r.Repository); err != nil {
		return err
	}
	return CheckTag(r.Tag)
}

// Name returns [HOST/]REPOSITORY.
func (r Reference) Name() string {
	if r.Host == "" {
		return r.Repository
	}
	return r.Host + "/" + r.Repository
}

// Suffix returns what follows the name: [:TAG][@DIGEST].
func (r Reference) Suffix() string {
	s := ""
	if r.Tag != "" {
		s = ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + string(r.Digest)
	}
	return s
}

func (r Reference) String() string { return r.Name() + r.Suffix() }

// Identifier returns what to request in the repository: the digest, else the tag,
// else latest.
func (r Reference) Identifier() string {
	switch {
	case r.Digest != "":
		return string(r.Digest)
	case r.Tag != "":
		return r.Tag
	}
	return "latest"
}

const dockerHub = "docker.io"

// Normalized returns r as a container runtime requests it, the same for all
// spellings: at docker.io if the host is omitted, in library/ there if it has no
// directory, by digest if it has one, else by tag (distribution/reference,
// "ParseDockerRef").
func (r Reference) Normalized() Reference {
	if r.Host == "" || r.Host == "index."+dockerHub {
		r.Host = dockerHub
	}
	if r.Host == dockerHub && !strings.Contains(r.Repository, "/") {
		r.Repository = "library/" + r.Repository
	}
	if r.Digest != "" {
		r.Tag = ""
	} else {
		r.Tag = r.Identifier()
	}
	return r
}
