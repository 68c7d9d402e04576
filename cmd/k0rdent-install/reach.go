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

// glance bounds what is asked of a cluster that may not be there.
const glance = 10 * time.Second

// leastMinor is the least minor version of Kubernetes 1 that the platform is for.
const leastMinor = 30

// errNoCluster means that there is no kubeconfig yet.
var errNoCluster = errors.New("there is no cluster yet")

// kubeconfig returns the file of the cluster: the one that was named, that of
// k0s-up's record, or that of the controller which this host is.
func (i *installer) kubeconfig() string {
	return cmp.Or(i.cfg.kubeconfig, i.node.Kubeconfig, i.host.kubeconfig)
}

// foreign reports whether the cluster is one of which this project's tools know
// nothing: not this host's, and none that k0s-up has brought up.
func (i *installer) foreign() bool {
	path := i.cfg.kubeconfig
	return path != "" && path != i.node.Kubeconfig && path != i.host.kubeconfig
}

// kubectl is the command with which a person asks the cluster.
func (i *installer) kubectl() string {
	if i.foreign() {
		return "kubectl --kubeconfig " + i.cfg.kubeconfig
	}
	return "k0s kubectl"
}

// reach opens the cluster, unless it is open. An error that is errNoCluster
// means that there is none yet.
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
	ctx, cancel := context.WithTimeout(ctx, glance)
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

// apiHint returns what helps if the API server that a kubeconfig names does not
// answer.
func apiHint(err error, kubeconfig string) string {
	if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) {
		return fmt.Sprintf(`this host has no route there: check the server in %s, and "ip route"`, kubeconfig)
	}
	return fmt.Sprintf(`check the server in %s, and that the cluster runs: "k0s status" on its host`, kubeconfig)
}

// checkCluster checks that there is a cluster that the platform is for. A plan
// may come before there is one.
func (i *installer) checkCluster(ctx context.Context) {
	err := i.reach(ctx)
	none := errors.Is(err, errNoCluster)
	switch {
	case none && i.Plan:
		i.Warn("cluster", "there is no cluster yet: its capacity and what is installed in it were not checked; k0s-up brings one up on this host")
		return
	case none:
		i.Fail("cluster", "k0s-up brings one up on this host; --kubeconfig FILE names another", "%v: %s does not exist", err, i.kubeconfig())
		return
	case err != nil && i.Plan && !i.foreign():
		i.Warn("cluster", "the cluster's capacity and what is installed in it were not checked: %v", err)
		return
	case err != nil:
		i.Fail("cluster", "", "%v", err)
		return
	}
	i.Note("Kubernetes %s", i.version)
	var major, minor int
	if n, err := fmt.Sscanf(i.version, "v%d.%d", &major, &minor); n == 2 && err == nil && major == 1 && minor < leastMinor {
		i.Fail("cluster", "", "its Kubernetes is %s; the platform requires v1.%d or later", i.version, leastMinor)
	}
	if i.site.public {
		return
	}
	known, err := i.readPins(ctx)
	if err != nil {
		i.Fail("cluster", "", "%v", err)
		return
	}
	i.site.pins = known.With(i.site.reg, i.in.Images)
}

// pinsSecret keeps in the cluster what the tags in the registry must stand for:
// whatever host the next run is on, it must not take what somebody has put under
// a tag meanwhile.
const pinsSecret = "k0rdent-install-pins"

// pinsKey is the key in it.
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
