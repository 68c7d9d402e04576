package cluster

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PlanSecret returns what EnsureSecret would do, and changes nothing.
func (c *Cluster) PlanSecret(ctx context.Context, want Secret) (Status, error) {
	have, err := c.kube.CoreV1().Secrets(Namespace).Get(ctx, want.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return Created, nil
	case err != nil:
		return done(want, "", err)
	case have.Type != want.Type || want.apply(have):
		return Updated, nil
	}
	return Unchanged, nil
}
