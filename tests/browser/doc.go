// Package browser has the tests of oci-serve's page in a real browser. It is a
// module of its own, so that the tools' go.mod lists what they are made of.
package browser
