// Package record defines the records that the tools exchange: one JSON object
// per line, distinguished by its "kind".
//
// Fields are added, never renamed or redefined. Sizes are in bytes, digests
// read "sha256:…", times are RFC 3339 in UTC, and empty fields are omitted. The
// manual page k0rdent-records(5) lists every kind and field.
package record

// Record is one record. Its fields are written in order, after the kind.
type Record interface {
	// Kind is the value of the "kind" field, such as "image".
	Kind() string
}

// Signature values of a Bundle.
const (
	SignatureGood = "good"
	SignatureBad  = "bad"
	SignatureNone = "none"

	SignatureUnknown = "unknown" // verification had no result
)

// Status values of the items that a tool processes.
const (
	StatusPushed    = "pushed"
	StatusExists    = "exists"
	StatusFailed    = "failed"
	StatusPlanned   = "planned"
	StatusWritten   = "written"
	StatusUnchanged = "unchanged"
	StatusRemoved   = "removed"
)

// Status values of a Step, in addition to those of items.
const (
	StatusDone    = "done"
	StatusSkipped = "skipped"
)

// Status values of a Finding, in addition to failed.
const (
	StatusOK      = "ok"
	StatusWarning = "warning"
	StatusUnknown = "unknown" // it could not be checked
)

// Bundle describes a bundle file and the result of checking its signature.
type Bundle struct {
	Path          string `json:"path,omitempty"`
	Format        string `json:"format,omitempty"` // tar.gz, tar.zst, tar or dir
	Size          int64  `json:"size,omitempty"`
	Digest        string `json:"digest,omitempty"`
	Signature     string `json:"signature,omitempty"` // good, bad, none or unknown
	SignatureFile string `json:"signatureFile,omitempty"`
	Key           string `json:"key,omitempty"`   // sha256 of the key's DER
	Error         string `json:"error,omitempty"` // why the signature is unknown
}

// Version describes the release that a bundle holds.
type Version struct {
	Bundle     string   `json:"bundle,omitempty"`
	Entry      string   `json:"entry,omitempty"`
	Name       string   `json:"name,omitempty"`
	Version    string   `json:"version,omitempty"`
	AppVersion string   `json:"appVersion,omitempty"`
	K0s        []string `json:"k0s,omitempty"`  // newest first
	Type       string   `json:"type,omitempty"` // of one of the vendor's further bundles: bare-metal or ceph
}

// Chart is the part of a Helm chart's Chart.yaml that names it.
type Chart struct {
	Name       string `json:"name,omitempty"`
	Version    string `json:"version,omitempty"`
	AppVersion string `json:"appVersion,omitempty"`
}

// Image is one image, index, chart or artifact of a bundle; oci-push writes it
// again with its status at the registry.
type Image struct {
	Bundle     string   `json:"bundle,omitempty"`
	Entry      string   `json:"entry,omitempty"`
	Repository string   `json:"repository,omitempty"`
	Tag        string   `json:"tag,omitempty"`
	Digest     string   `json:"digest,omitempty"`
	Subject    string   `json:"subject,omitempty"` // digest of the manifest that it refers to
	MediaType  string   `json:"mediaType,omitempty"`
	Type       string   `json:"type,omitempty"` // image, index, chart or artifact
	Size       int64    `json:"size,omitempty"` // bytes of distinct blobs
	Blobs      int      `json:"blobs,omitempty"`
	Platforms  []string `json:"platforms,omitempty"`
	Chart      *Chart   `json:"chart,omitempty"`
	Warning    string   `json:"warning,omitempty"`

	Registry      string `json:"registry,omitempty"` // host:port
	Prefix        string `json:"prefix,omitempty"`   // before every repository there
	Reference     string `json:"reference,omitempty"`
	Status        string `json:"status,omitempty"` // pushed, exists, failed or planned
	PushedBytes   int64  `json:"pushedBytes,omitempty"`
	ExistingBytes int64  `json:"existingBytes,omitempty"`
	Replaces      string `json:"replaces,omitempty"` // digest that the tag had before
	PushedAt      string `json:"pushedAt,omitempty"` // time
	Error         string `json:"error,omitempty"`
}

// Repository is the space that a repository of a registry uses, written by
// bundle-ls --du.
type Repository struct {
	Registry    string `json:"registry,omitempty"` // host:port
	Prefix      string `json:"prefix,omitempty"`
	Repository  string `json:"repository,omitempty"`
	Tags        int    `json:"tags,omitempty"`
	Size        int64  `json:"size,omitempty"`        // bytes of distinct blobs and manifests
	SharedBytes int64  `json:"sharedBytes,omitempty"` // those of them that an earlier repository has as well
}

// Name returns a name for people: the reference, or the known part of it, with
// the digest if there is no tag.
func (i Image) Name() string {
	switch {
	case i.Reference != "":
		return i.Reference
	case i.Tag == "" && i.Digest != "":
		return i.Repository + "@" + i.Digest
	}
	return i.Repository + ":" + i.Tag
}

// Blob is one blob of an archive, written by bundle-ls --blobs.
type Blob struct {
	Bundle    string `json:"bundle,omitempty"`
	Entry     string `json:"entry,omitempty"`
	Digest    string `json:"digest,omitempty"`
	MediaType string `json:"mediaType,omitempty"`
	Size      int64  `json:"size,omitempty"`
}

// Skipped is an entry with nothing for a registry, and the reason.
type Skipped struct {
	Bundle string `json:"bundle,omitempty"`
	Entry  string `json:"entry,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Status string `json:"status,omitempty"` // failed, if it should have been pushed
	Reason string `json:"reason,omitempty"`
}

// Registry describes a running registry.
type Registry struct {
	Address string `json:"address,omitempty"` // host:port actually bound
	URL     string `json:"url,omitempty"`
	Storage string `json:"storage,omitempty"`
	CA      string `json:"ca,omitempty"`
	Files   string `json:"files,omitempty"` // address of the files over plain HTTP
	PID     int    `json:"pid,omitempty"`
}

// File is a file of the host that a tool manages, and its status; or a file in a
// bundle that is for an HTTP server, which oci-push writes again with its status.
type File struct {
	Path   string `json:"path,omitempty"` // absolute
	Mode   string `json:"mode,omitempty"` // permission bits in octal, such as 0644
	Size   int64  `json:"size,omitempty"`
	Digest string `json:"digest,omitempty"`
	Status string `json:"status,omitempty"` // written, unchanged, planned, removed or failed; pushed or exists
	Error  string `json:"error,omitempty"`

	Version  string `json:"version,omitempty"`  // of a program
	Platform string `json:"platform,omitempty"` // that it runs on
	Source   string `json:"source,omitempty"`   // where it came from

	Bundle     string `json:"bundle,omitempty"`
	Entry      string `json:"entry,omitempty"`
	Name       string `json:"name,omitempty"`       // path below the address of an HTTP server
	Repository string `json:"repository,omitempty"` // of the artifact that holds it
	Tag        string `json:"tag,omitempty"`
	Registry   string `json:"registry,omitempty"` // host:port
	Prefix     string `json:"prefix,omitempty"`
	Reference  string `json:"reference,omitempty"`
}

// Step is one step of the work on a host, and its status.
type Step struct {
	Name    string  `json:"name,omitempty"`
	Status  string  `json:"status,omitempty"` // done, unchanged, planned, skipped or failed
	Seconds float64 `json:"seconds,omitempty"`
	Detail  string  `json:"detail,omitempty"` // what was or would be done, or was found
	Error   string  `json:"error,omitempty"`
	Cluster string  `json:"cluster,omitempty"` // "stays" if --uninstall removes a host from a cluster that keeps running
}

// Finding is the result of a check.
type Finding struct {
	Check   string `json:"check,omitempty"`   // its name, as --ignore takes it
	Status  string `json:"status,omitempty"`  // ok, failed, warning or unknown
	Subject string `json:"subject,omitempty"` // what it is about: a file, a setting
	Detail  string `json:"detail,omitempty"`
	Remedy  string `json:"remedy,omitempty"` // a command, where there is one
}

// Cluster is a Kubernetes cluster of which this host is a controller.
type Cluster struct {
	Kubeconfig string `json:"kubeconfig,omitempty"` // of an administrator, absolute
	Node       string `json:"node,omitempty"`       // this host
	Address    string `json:"address,omitempty"`    // of this host, for other nodes and for pods
	K0s        string `json:"k0s,omitempty"`
	Kubernetes string `json:"kubernetes,omitempty"`
	Status     string `json:"status,omitempty"` // planned, if it does not exist yet
}

// Summary is the last record of a tool that processes many items.
type Summary struct {
	Tool    string         `json:"tool,omitempty"`
	Counts  map[string]int `json:"counts,omitempty"` // by status
	Bytes   int64          `json:"bytes,omitempty"`
	Seconds float64        `json:"seconds,omitempty"`
}

func (Bundle) Kind() string     { return "bundle" }
func (Version) Kind() string    { return "version" }
func (Image) Kind() string      { return "image" }
func (Repository) Kind() string { return "repository" }
func (Blob) Kind() string       { return "blob" }
func (Skipped) Kind() string    { return "skipped" }
func (Registry) Kind() string   { return "registry" }
func (File) Kind() string       { return "file" }
func (Step) Kind() string       { return "step" }
func (Finding) Kind() string    { return "finding" }
func (Cluster) Kind() string    { return "cluster" }
func (Summary) Kind() string    { return "summary" }
