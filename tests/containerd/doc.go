// Package containerd tests the files of k0s-mirror-config with the containerd releases
// that k0s has shipped: real daemons pull through CRI, like kubelet, from a real oci-serve
// in another network, as on a worker, and never contact anything outside the site.
//
// It contains only tests, of the programs that `make build` and tests/setup.sh build. They
// make network and mount namespaces and so require root; what they start ends with the
// test's process, however that ends.
package containerd
