// Package gunzip inflates a gzip file (RFC 1952, RFC 1951) of one or more
// members in a goroutine of its own, ahead of its reader.
//
// It exists because inflating is the bottleneck when a bundle is pushed to a
// registry. The layers are compressed already, so the outer gzip holds them as
// literals of about eight bits each; the work cannot be split between
// processors, and its cost delays everything after it. For such data this
// package's loop, which decodes five literals per load of input, needs 0.6
// times the processor time of klauspost/compress (tests/bench has the
// comparison). It is checked against compress/flate by fuzzing.
package gunzip
