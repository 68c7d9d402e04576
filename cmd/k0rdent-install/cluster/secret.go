package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientretry "k8s.io/client-go/util/retry"
)

// managerLabel marks objects that this program creates.
const (
	managerLabel = "app.kubernetes.io/managed-by"
	manager      = "k0rdent-install"
)

// EnsureNamespace creates a namespace unless it exists. It is an error if the
// namespace is being deleted, since nothing can be created in it.
func (c *Cluster) EnsureNamespace(ctx context.Context, name string) (Status, error) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{managerLabel: manager}}}
	_, err := c.kube.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if err == nil {
		return Created, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("namespace %s: %w", name, err)
	}
	have, err := c.kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("namespace %s: %w", name, err)
	}
	if have.DeletionTimestamp != nil {
		return "", fmt.Errorf("namespace %s is being deleted: %s", name, namespaceHeld(have))
	}
	return Unchanged, nil
}

// namespaceHeld returns what keeps a namespace from being deleted.
func namespaceHeld(ns *corev1.Namespace) string {
	for _, cond := range ns.Status.Conditions {
		remains := cond.Type == corev1.NamespaceContentRemaining || cond.Type == corev1.NamespaceFinalizersRemaining
		if remains && cond.Status == corev1.ConditionTrue {
			return cond.Message
		}
	}
	return "wait until it no longer exists"
}

// Secret is a Secret in Namespace. Printing it never reveals its data.
type Secret struct {
	Name   string
	Type   corev1.SecretType
	Data   map[string][]byte
	Labels map[string]string
}

// String returns the name of the secret.
func (s Secret) String() string { return "secret " + Namespace + "/" + s.Name }

// GoString keeps %#v from printing the data.
func (s Secret) GoString() string { return s.String() }

// CASecret returns the chart's registryCertSecret: the authorities, in PEM, that the
// registry's certificate is verified with.
func CASecret(name string, pem []byte) Secret {
	return Secret{Name: name, Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"ca.crt": pem}}
}

// CredsSecret returns the chart's registryCredsSecret: the login with which Flux and
// child clusters fetch charts.
func CredsSecret(name, username, password string) Secret {
	return Secret{Name: name, Type: corev1.SecretTypeOpaque, Data: map[string][]byte{
		"username": []byte(username), "password": []byte(password),
	}}
}

// PullSecret returns the chart's imagePullSecret: the same login in the form that
// kubelets use. registry is HOST[:PORT] without a path, by which containerd looks up
// logins.
func PullSecret(name, registry, username, password string) (Secret, error) {
	type login struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Auth     string `json:"auth"`
	}
	config, err := json.Marshal(map[string]map[string]login{"auths": {registry: {
		Username: username, Password: password,
		Auth: base64.StdEncoding.EncodeToString([]byte(username + ":" + password)),
	}}})
	if err != nil {
		return Secret{}, err
	}
	return Secret{Name: name, Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: config}}, nil
}

// EnsureSecret creates a Secret in Namespace, or sets its data and labels. It leaves
// other keys and labels alone.
func (c *Cluster) EnsureSecret(ctx context.Context, want Secret) (Status, error) {
	secrets := c.kube.CoreV1().Secrets(Namespace)
	var status Status
	race := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	err := clientretry.OnError(clientretry.DefaultRetry, race, func() error {
		have, err := secrets.Get(ctx, want.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			status = Created
			_, err = secrets.Create(ctx, want.object(), metav1.CreateOptions{})
		case err != nil:
		case have.Type != want.Type: // which cannot be changed
			status = Updated
			err = secrets.Delete(ctx, want.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(have.UID))})
			if err == nil || apierrors.IsNotFound(err) {
				_, err = secrets.Create(ctx, want.object(), metav1.CreateOptions{})
			}
		case want.apply(have):
			status = Updated
			_, err = secrets.Update(ctx, have, metav1.UpdateOptions{})
		default:
			status = Unchanged
		}
		return err
	})
	return done(want, status, err)
}

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

func done(s Secret, status Status, err error) (Status, error) {
	if err != nil {
		return "", fmt.Errorf("%v: %w", s, err)
	}
	return status, nil
}

func (s Secret) object() *corev1.Secret {
	labels := map[string]string{managerLabel: manager}
	maps.Copy(labels, s.Labels)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: Namespace, Labels: labels},
		Type:       s.Type,
		Data:       s.Data,
	}
}

// apply sets the data and labels, and reports whether that changed anything.
func (s Secret) apply(have *corev1.Secret) bool {
	before := have.DeepCopy()
	have.Data, have.Labels = merged(have.Data, s.Data), merged(have.Labels, s.Labels)
	return !equality.Semantic.DeepEqual(before, have)
}
