// Package house tests the rules of the code: which packages may import which, what a
// library must not do, how big a binary may be, and that the documentation of the tools
// is correct. The reasons are in lib/README.md.
package house
