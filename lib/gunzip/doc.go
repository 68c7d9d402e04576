// Package gunzip inflates a gzip file (RFC 1952, RFC 1951) of one or more
// members in a goroutine of its own, ahead of its reader.
//
// It exists because inflating is what bounds the way of a bundle into a
// registry: a bundle's layers are compressed already, so that the outer gzip
// holds them as single literals of about eight bits, no two processors can
// share the work, and whatever it costs delays everything behind it. For such
// data its loop, which looks up five literals for each load of input, needs
// 0.6 times the processor time of klauspost/compress (tests/bench has the
// comparison). It is checked against compress/flate by fuzzing.
package gunzip
