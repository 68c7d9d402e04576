package cluster

import (
	"context"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Version returns the version of the API server, such as v1.32.8+k0s.
func (c *Cluster) Version(ctx context.Context) (string, error) {
	v, err := c.kube.Discovery().ServerVersionWithContext(ctx)
	if err != nil {
		return "", err
	}
	return v.GitVersion, nil
}

// ReadSecret returns the data of a Secret in Namespace, or nil if it does not exist.
func (c *Cluster) ReadSecret(ctx context.Context, name string) (map[string][]byte, error) {
	s, err := c.kube.CoreV1().Secrets(Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", Namespace, name, err)
	}
	return maps.Clone(s.Data), nil
}

// RemoveSecrets deletes the Secrets of these names that this program created. It
// reports whether there was any.
func (c *Cluster) RemoveSecrets(ctx context.Context, names ...string) (bool, error) {
	found := false
	for _, name := range names {
		s, err := c.kube.CoreV1().Secrets(Namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil && s.Labels[managerLabel] == manager {
			found = true
			err = c.kube.CoreV1().Secrets(Namespace).Delete(ctx, name, metav1.DeleteOptions{})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return found, fmt.Errorf("secret %s/%s: %w", Namespace, name, err)
		}
	}
	return found, nil
}
