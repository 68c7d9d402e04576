package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
)

// probeTime bounds the attempt to reach a cluster that may not exist.
const probeTime = 10 * time.Second

// minMinor is the earliest minor version of Kubernetes 1 that the platform supports.
const minMinor = 30

// errNoCluster means that no kubeconfig exists yet.
var errNoCluster = errors.New("no cluster exists yet")

// kubeconfig returns the path of the cluster's kubeconfig: --kubeconfig, that of
// k0s-up's record, or this controller's.
func (i *installer) kubeconfig() string {
	return cmp.Or(i.cfg.kubeconfig, i.node.Kubeconfig, i.host.kubeconfig)
}

// foreign reports whether the cluster was not set up by k0s-up: it is neither this
// host's nor that of k0s-up's record.
func (i *installer) foreign() bool {
	path := i.cfg.kubeconfig
	return path != "" && path != i.node.Kubeconfig && path != i.host.kubeconfig
}

// kubectl returns the kubectl command for the cluster.
func (i *installer) kubectl() string {
	if i.foreign() {
		return "kubectl --kubeconfig " + i.cfg.kubeconfig
	}
	return "k0s kubectl"
}

// reach opens the cluster, unless it is open. The error is errNoCluster if none
// exists yet.
func (i *installer) reach(ctx context.Context) error {
	if i.cluster != nil {
		return nil
	}
	path := i.kubeconfig()
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist) && i.cfg.kubeconfig == "":
		return errNoCluster
	case err != nil:
		return err
	}
	c, err := cluster.Open(path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	if err := c.WaitAPI(ctx); err != nil {
		return cli.TryAgain(cli.Hint(err, "%s", apiHint(err, path)))
	}
	if i.version, err = c.Version(ctx); err != nil {
		return err
	}
	i.cluster = c
	return nil
}

// apiHint returns the hint for an API server that does not answer.
func apiHint(err error, kubeconfig string) string {
	if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) {
		return fmt.Sprintf(`this host has no route to it: check the server in %s, and "ip route"`, kubeconfig)
	}
	return fmt.Sprintf(`check the server in %s, and run "k0s status" on its host`, kubeconfig)
}

// checkCluster checks that the cluster answers and that the platform supports it. A
// plan may be made before the cluster exists.
func (i *installer) checkCluster(ctx context.Context) {
	err := i.reach(ctx)
	none := errors.Is(err, errNoCluster)
	switch {
	case none && i.Plan:
		i.Warn("cluster", "no cluster exists yet, so its capacity and what is installed were not checked; k0s-up creates one on this host")
		return
	case none:
		i.Fail("cluster", "create one on this host with k0s-up, or name another with --kubeconfig FILE", "%v: %s does not exist", err, i.kubeconfig())
		return
	case err != nil && i.Plan && !i.foreign():
		i.Warn("cluster", "the cluster's capacity and what is installed were not checked: %v", err)
		return
	case err != nil:
		i.Fail("cluster", "", "%v", err)
		return
	}
	i.Note("Kubernetes %s", i.version)
	var major, minor int
	if n, err := fmt.Sscanf(i.version, "v%d.%d", &major, &minor); n == 2 && err == nil && major == 1 && minor < minMinor {
		i.Fail("cluster", "", "Kubernetes is %s, but the platform requires v1.%d or later", i.version, minMinor)
	}
	if i.cfg.online {
		return
	}
	known, err := i.readPins(ctx)
	if err != nil {
		i.Fail("cluster", "", "%v", err)
		return
	}
	i.site.pins = known.With(i.site.reg, i.in.Images)
}

// pinsSecret is the Secret with the digests that tags in the registry must have. It
// is kept in the cluster so that runs on any host reject a tag that has moved.
const pinsSecret = "k0rdent-install-pins"

// pinsKey is the key in pinsSecret.
const pinsKey = "pins.json"

func (i *installer) readPins(ctx context.Context) (client.Pins, error) {
	data, err := i.cluster.ReadSecret(ctx, pinsSecret)
	if err != nil || data == nil {
		return nil, err
	}
	var known client.Pins
	if err := json.Unmarshal(data[pinsKey], &known); err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", namespace, pinsSecret, err)
	}
	return known, nil
}
