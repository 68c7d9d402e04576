// Package cluster proves that k0rdent-install's package of that name does its
// work on a real Kubernetes API server: Helm installs a chart in the shape of
// the vendor's, real controllers make pods of it, and a small controller in the
// tests plays kcm, by the order of events in kcm's own code: Release,
// Management with a copy of the release's values, a second pass over the
// release, components one after the other, finalizers. Flux is played as well,
// and real in one test, built from the module in flux.
//
// It contains only tests. The API server and the rest are in package plane.
package cluster
