package record

// Inflating a bundle takes most of the time of bundle-ls and oci-push, and both
// would do it. So a reader that can list entries itself marks the pipe on its
// stdin, and bundle-ls leaves the rest of the bundle to it. The mark belongs to
// one process and one pipe: bundle-ls does not see it through tee or grep.

// Rest announces that no records follow for the entries of a bundle after the
// first Listed ones: the reader, which has accepted that, makes them itself.
type Rest struct {
	Bundle string `json:"bundle,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Listed int    `json:"listed,omitempty"`
}

func (Rest) Kind() string { return "rest" }
