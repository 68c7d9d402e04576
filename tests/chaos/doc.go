// Package chaos treats oci-serve as a bad night does: it is killed, stopped and
// paused while clients push, delete and read, and collects garbage and scrubs in
// between. Readers check that they never see an older state after a newer one,
// also across a restart, and that nothing acknowledged is lost.
//
// TestReplay records the system calls of such a registry, and looks at what a
// loss of power after each of them could leave.
//
//	go test ./tests/chaos -args -for 10m -seed 7
package chaos
