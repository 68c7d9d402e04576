// Package record is the language between the tools: one JSON object a line,
// told apart by its "kind".
//
// Fields are added, never renamed or given another meaning. Sizes are bytes,
// digests read "sha256:…", times are RFC 3339 in UTC, and an empty field is
// left out. The manual page k0rdent-records(5) lists every kind and field.
package record

// Record is one value of the pipe. Its fields are written as they stand,
// with the kind before them.
type Record interface {
	// Kind is the value of the "kind" field, such as "image".
	Kind() string
}

// Signature values of a Bundle.
const (
	SignatureGood = "good"
	SignatureBad  = "bad"
	SignatureNone = "none"

	SignatureUnknown = "unknown" // the verification came to no result
)

// Status values of items that a tool worked through.
const (
	StatusPushed    = "pushed"
	StatusExists    = "exists"
	StatusFailed    = "failed"
	StatusPlanned   = "planned"
	StatusWritten   = "written"
	StatusUnchanged = "unchanged"
	StatusRemoved   = "removed"
)

// Status values of a Step, beside those it shares with items.
const (
	StatusDone    = "done"
	StatusSkipped = "skipped"
)

// Bundle says what a bundle file is and whether its signature held.
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

// Version says which release a bundle holds.
type Version struct {
	Bundle     string   `json:"bundle,omitempty"`
	Entry      string   `json:"entry,omitempty"`
	Name       string   `json:"name,omitempty"`
	Version    string   `json:"version,omitempty"`
	AppVersion string   `json:"appVersion,omitempty"`
	K0s        []string `json:"k0s,omitempty"` // newest first
}

// Chart is the part of a Helm chart's Chart.yaml that names it.
type Chart struct {
	Name       string `json:"name,omitempty"`
	Version    string `json:"version,omitempty"`
	AppVersion string `json:"appVersion,omitempty"`
}

// Image is one image, index, chart or artifact of a bundle; oci-push writes
// it again with what became of it at the registry.
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
	Error         string `json:"error,omitempty"`
}

// Name returns what people call it: its reference, or the part of it that is
// known. What has no tag goes by its digest.
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

// Skipped is an entry that holds nothing for a registry, and why.
type Skipped struct {
	Bundle string `json:"bundle,omitempty"`
	Entry  string `json:"entry,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Status string `json:"status,omitempty"` // failed, if something should have come of it
	Reason string `json:"reason,omitempty"`
}

// Registry is where a registry accepts connections.
type Registry struct {
	Address string `json:"address,omitempty"` // host:port really bound
	URL     string `json:"url,omitempty"`
	Storage string `json:"storage,omitempty"`
	CA      string `json:"ca,omitempty"`
	PID     int    `json:"pid,omitempty"`
}

// File is a file of the host that a tool looks after, and what became of it.
type File struct {
	Path   string `json:"path,omitempty"` // absolute
	Mode   string `json:"mode,omitempty"` // permission bits in octal, such as 0644
	Size   int64  `json:"size,omitempty"`
	Digest string `json:"digest,omitempty"`
	Status string `json:"status,omitempty"` // written, unchanged, planned, removed or failed
	Error  string `json:"error,omitempty"`

	Version  string `json:"version,omitempty"`  // of a program
	Platform string `json:"platform,omitempty"` // that it runs on
	Source   string `json:"source,omitempty"`   // where it came from
}

// Step is one step of the work on a host, and what became of it.
type Step struct {
	Name    string  `json:"name,omitempty"`
	Status  string  `json:"status,omitempty"` // done, unchanged, planned, skipped or failed
	Seconds float64 `json:"seconds,omitempty"`
	Detail  string  `json:"detail,omitempty"` // what was or would be done, or was found
	Error   string  `json:"error,omitempty"`
	Cluster string  `json:"cluster,omitempty"` // "stays" where --uninstall removes a host from a cluster that goes on
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

// Summary is the last line of a tool that works through many items.
type Summary struct {
	Tool    string         `json:"tool,omitempty"`
	Counts  map[string]int `json:"counts,omitempty"` // by status
	Bytes   int64          `json:"bytes,omitempty"`
	Seconds float64        `json:"seconds,omitempty"`
}

func (Bundle) Kind() string   { return "bundle" }
func (Version) Kind() string  { return "version" }
func (Image) Kind() string    { return "image" }
func (Blob) Kind() string     { return "blob" }
func (Skipped) Kind() string  { return "skipped" }
func (Registry) Kind() string { return "registry" }
func (File) Kind() string     { return "file" }
func (Step) Kind() string     { return "step" }
func (Cluster) Kind() string  { return "cluster" }
func (Summary) Kind() string  { return "summary" }
