package cluster

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// retryable reports whether an error may be temporary: the API server restarts or is
// busy, two clients changed an object at once, or kcm's webhooks are registered before
// their pod is up, as during its second pass.
func retryable(err error) bool {
	_, isNetwork := errors.AsType[net.Error](err)
	_, isRequest := errors.AsType[*url.Error](err)
	switch {
	case err == nil:
		return false
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsServerTimeout(err), apierrors.IsTimeout(err),
		apierrors.IsTooManyRequests(err), apierrors.IsServiceUnavailable(err):
		return true
	case apierrors.IsInternalError(err):
		return strings.Contains(err.Error(), "failed calling webhook")
	case isNetwork, isRequest:
		return true
	}
	return false
}

// retry calls f until it succeeds or its error is not retryable. It returns the last
// error when ctx ends.
func retry(ctx context.Context, f func() error) error {
	for {
		err := f()
		if !retryable(err) || ctx.Err() != nil {
			return err
		}
		if !sleep(ctx, pause) {
			return err
		}
	}
}

// absent reports whether an error means that an object, or its kind, does not exist.
func absent(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }

// resource returns a client for a kind, in one of these versions, or else in the version
// that the server prefers. The
// error satisfies absent if the kind does not exist. namespace is ignored for kinds
// without one; "" means all namespaces.
func (c *Cluster) resource(kind schema.GroupKind, namespace string, versions ...string) (dynamic.ResourceInterface, error) {
	client, err := c.known(kind, namespace, versions...)
	if meta.IsNoMatchError(err) {
		// The kind may be new, and the mapper caches discovery.
		meta.MaybeResetRESTMapper(c.mapper)
		client, err = c.known(kind, namespace, versions...)
	}
	return client, err
}

// known is like resource, for kinds that existed at the last discovery.
func (c *Cluster) known(kind schema.GroupKind, namespace string, versions ...string) (dynamic.ResourceInterface, error) {
	mapping, err := c.mapper.RESTMapping(kind, versions...)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.dynamic.Resource(mapping.Resource), nil
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}
