// Package containerd proves that the mirror configuration of k0s-mirror-config
// does what it is for in the containerd releases that k0s has shipped: real
// daemons pull through CRI, as kubelet does, from a real oci-serve in another
// network, as on a worker, and never ask anybody outside the site.
//
// It holds tests only, of the programs that `make build` and tests/setup.sh have
// put in place. They make network and mount namespaces and so want root;
// what they start ends with the test's process, however that ends.
package containerd
