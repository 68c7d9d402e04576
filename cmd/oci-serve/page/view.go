package page

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"html/template"
	"strings"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/registry"
)

// view is what the template shows.
type view struct {
	Style  template.CSS
	Host   string // as the client calls the registry; "" if that is not a host
	Search string
	First  bool   // the page does not follow another one
	Next   string // address of the one that follows, or ""

	Releases     []release
	Partial      bool // not all repositories were looked through for releases
	Repositories []repository

	Repository string
	Tags       []tag

	Used, Free  string // "" if not known
	Fingerprint string // of the registry's own authority, "" if it has none
	from        from
}

type repository struct {
	Name, Link string
	Tags       []named
	More       bool  // it has other tags
	Only       *item // what its tag leads to, if it has but one
}

type named struct{ Name, Link string }

type tag struct {
	item
	Name     string
	Commands []command
	Open     bool // show the commands at once
}

// Title returns the title of the page.
func (v *view) Title() string {
	title := v.Host
	if title == "" {
		title = "Registry"
	}
	switch {
	case v.Repository != "":
		return v.Repository + " · " + title
	case v.Search != "":
		return v.Search + " · " + title
	}
	return title
}

// Start returns the address of the first page of those that this one follows.
func (v *view) Start() string { return link("repository", v.Repository, "q", v.Search) }

// Size returns an item's size for people.
func (what item) Size() string { return record.Bytes(what.Bytes) }

func (v *view) storage(u registry.Usage) {
	if u != (registry.Usage{}) {
		v.Used, v.Free = record.Bytes(u.Bytes), record.Bytes(u.Free)
	}
}

// authority sets the fingerprint as openssl prints it.
func (v *view) authority(ca *x509.Certificate) {
	if ca != nil {
		sum := sha256.Sum256(ca.Raw)
		v.Fingerprint = strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
	}
}

// command is a command that pulls something, of one program.
type command struct{ Program, Text string }

// from is how a client reaches the registry.
type from struct {
	host  string
	plain bool // without TLS
	own   bool // with a certificate of the registry's own authority
}

// flag returns a program's flag for a registry without TLS or with an authority
// of its own, with a space behind it.
func (f from) flag(plain, own string) string {
	switch {
	case f.plain && plain != "":
		return plain + " "
	case f.own && !f.plain && own != "":
		return own + " "
	}
	return ""
}

// commands returns the commands that pull a tag. Name and tag have been checked,
// so they hold nothing that a shell would interpret.
func (f from) commands(name, tag, kind string) []command {
	reference := f.host + "/" + name + ":" + tag
	switch kind {
	case "chart": // a tag has "_" for the "+" of a version
		return []command{{"Helm", "helm pull " + f.flag("--plain-http", "--ca-file ca.pem") +
			"oci://" + f.host + "/" + name + " --version " + strings.ReplaceAll(tag, "_", "+")}}
	case "image":
		return []command{
			{"Docker", "docker pull " + reference},
			{"Podman", "podman pull " + f.flag("--tls-verify=false", "") + reference},
			{"crictl", "crictl pull " + reference},
			{"ctr", "ctr -n k8s.io images pull " + f.flag("--plain-http", "--tlscacert ca.pem") + reference},
		}
	}
	file := name[strings.LastIndexByte(name, '/')+1:]
	text := "crane pull " + f.flag("--insecure", "") + "--format oci " + reference + " " + file
	if f.own && !f.plain {
		text = "SSL_CERT_FILE=ca.pem " + text
	}
	return []command{{"crane", text}}
}
