package cluster

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"k0rdent-airgap/lib/config"
)

// spec returns an object's spec as JSON.
func (f *fake) spec(u *unstructured.Unstructured) string {
	f.t.Helper()
	client, err := f.client(u)
	if err != nil {
		f.t.Fatal(err)
	}
	have, err := client.Get(f.t.Context(), u.GetName(), metav1.GetOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	if have.GetLabels()["k0rdent.mirantis.com/component"] != "kcm" {
		f.t.Errorf("%s: labels %v, want the one that kcm requires", objectName(have), have.GetLabels())
	}
	return text(have.Object["spec"])
}

// TestEnsureCredential creates the objects for a cloud: a Secret, the provider's
// identity, the Credential that refers to one of them, and the template for child
// clusters, which has the name of the object that the Credential refers to.
func TestEnsureCredential(t *testing.T) {
	aws := AWS{Name: "aws", Region: "eu-1", AccessKeyID: "id", SecretAccessKey: config.Hidden("key")}
	stack := OpenStack{Name: "os", AuthURL: "https://os/v3", Region: "r", Username: "u", Password: config.Hidden("p"), ProjectName: "o", DomainName: "d"}
	app := OpenStack{Name: "app", AuthURL: "https://os/v3", ApplicationCredentialID: "i", ApplicationCredentialSecret: config.Hidden("s")}
	vsphere := VSphere{Name: "vc", Username: "u@v", Password: config.Hidden("p"), Datacenter: "DC"}
	tests := []struct {
		cred           Credential
		secret, key    string
		data           string // part of the key's value
		identity, spec string
		template       string // part of it
	}{
		{aws, "aws-identity-secret", "SecretAccessKey", "key",
			`{"allowedNamespaces":{},"secretRef":"aws-identity-secret"}`,
			`{"description":"AWS, region eu-1","identityRef":{"apiVersion":"infrastructure.cluster.x-k8s.io/v1beta2","kind":"AWSClusterStaticIdentity","name":"aws-identity"}}`, ""},
		{vsphere, "vc-identity-secret", "password", "p",
			`{"allowedNamespaces":{"selector":{"matchLabels":{}}},"secretName":"vc-identity-secret"}`,
			`{"description":"vSphere, datacenter DC","identityRef":{"apiVersion":"infrastructure.cluster.x-k8s.io/v1beta2","kind":"VSphereClusterIdentity","name":"vc-identity","namespace":"kcm-system"}}`,
			"name: vsphere-cloud-secret"},
		{GCP{Name: "g", ServiceAccountKey: config.Hidden("{}")}, "g-config", "credentials", "{}", "",
			`{"description":"GCP","identityRef":{"apiVersion":"v1","kind":"Secret","name":"g-config","namespace":"kcm-system"}}`, "name: gcp-cloud-sa"},
		{app, "app-config", "cloud.conf", "application-credential-secret=\"s\"\n", "",
			`{"description":"OpenStack","identityRef":{"apiVersion":"v1","kind":"Secret","name":"app-config","namespace":"kcm-system"}}`, "name: openstack-cloud-config"},
		{stack, "os-config", "clouds.yaml", "user_domain_name: d", "",
			`{"description":"OpenStack, region r","identityRef":{"apiVersion":"v1","kind":"Secret","name":"os-config","namespace":"kcm-system"}}`, "name: openstack-cloud-config"},
		{app, "app-config", "clouds.yaml", "auth_type: v3applicationcredential", "",
			`{"description":"OpenStack","identityRef":{"apiVersion":"v1","kind":"Secret","name":"app-config","namespace":"kcm-system"}}`, "name: openstack-cloud-config"},
	}
	for _, tt := range tests {
		f := newFake(t)
		for _, want := range []Status{Created, Unchanged} {
			if got, note, err := f.EnsureCredential(t.Context(), tt.cred); got != want || note != "" || err != nil {
				t.Errorf("%v: %q, %q, %v, want %q", tt.cred, got, note, err, want)
			}
		}
		s, err := f.api.CoreV1().Secrets(Namespace).Get(t.Context(), tt.secret, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(s.Data[tt.key]), tt.data) || s.Labels["k0rdent.mirantis.com/component"] != "kcm" {
			t.Errorf("%v: secret %s with labels %v has no %q in %s", tt.cred, tt.secret, s.Labels, tt.data, tt.key)
		}
		refers := tt.secret
		l := tt.cred.login()
		if tt.identity != "" {
			refers = l.name + "-identity"
			if got := f.spec(object("infrastructure.cluster.x-k8s.io/v1beta2", l.identity.GetKind(), "", refers)); got != tt.identity {
				t.Errorf("%v: identity %s, want %s", tt.cred, got, tt.identity)
			}
		}
		template, err := f.api.CoreV1().ConfigMaps(Namespace).Get(t.Context(), refers+"-resource-template", metav1.GetOptions{})
		if err != nil || !strings.Contains(template.Data["resources.yaml"], tt.template) || template.Annotations["projectsveltos.io/template"] != "true" || template.Labels["k0rdent.mirantis.com/component"] != "kcm" {
			t.Errorf("%v: template %v, %v, want one with %q", tt.cred, template, err, tt.template)
		}
		credential := object("k0rdent.mirantis.com/v1beta1", "Credential", Namespace, l.name)
		if got := f.spec(credential); got != tt.spec {
			t.Errorf("%v: spec %s, want %s", tt.cred, got, tt.spec)
		}
	}
}

// TestEnsureCredentialAgain corrects what differs, and keeps what others have added.
func TestEnsureCredentialAgain(t *testing.T) {
	f := newFake(t, anObject(t, `
apiVersion: k0rdent.mirantis.com/v1beta1
kind: Credential
metadata: {name: aws, namespace: kcm-system}
spec: {description: of a person, region: eu, identityRef: {name: other}}
`))
	cred := AWS{Name: "aws", AccessKeyID: "id"}
	if got, _, err := f.EnsureCredential(t.Context(), cred); got != Created && got != Updated || err != nil {
		t.Fatalf("%q, %v, want the missing objects created", got, err)
	}
	const want = `{"description":"AWS","identityRef":{"apiVersion":"infrastructure.cluster.x-k8s.io/v1beta2","kind":"AWSClusterStaticIdentity","name":"aws-identity"},"region":"eu"}`
	if got := f.spec(object("k0rdent.mirantis.com/v1beta1", "Credential", Namespace, "aws")); got != want {
		t.Errorf("spec %s, want %s", got, want)
	}
	if got, _, err := f.EnsureCredential(t.Context(), cred); got != Unchanged || err != nil {
		t.Errorf("again: %q, %v, want %q", got, err, Unchanged)
	}
	cred.SecretAccessKey = config.Hidden("another")
	if got, _, err := f.EnsureCredential(t.Context(), cred); got != Updated || err != nil {
		t.Errorf("another key: %q, %v, want %q", got, err, Updated)
	}
}

// TestEnsureTemplate leaves an operator's template alone, and updates ours.
func TestEnsureTemplate(t *testing.T) {
	theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "g-config-resource-template", Namespace: Namespace}, Data: map[string]string{"x": "y"}}
	ours := theirs.DeepCopy()
	ours.Name, ours.Labels = "h-config-resource-template", map[string]string{managerLabel: manager}
	f := newFake(t, theirs, ours)
	for _, name := range []string{"g", "h"} {
		if _, _, err := f.EnsureCredential(t.Context(), GCP{Name: name, ServiceAccountKey: config.Hidden("{}")}); err != nil {
			t.Fatal(err)
		}
		have, err := f.api.CoreV1().ConfigMaps(Namespace).Get(t.Context(), name+"-config-resource-template", metav1.GetOptions{})
		if err != nil || (have.Data["x"] == "y") != (name == "g") || (have.Data["resources.yaml"] == "") != (name == "g") {
			t.Errorf("%s: %v, %v", name, have.Data, err)
		}
	}
}

// TestEnsureCredentialTooEarly creates nothing if the provider's kind does not exist
// yet.
func TestEnsureCredentialTooEarly(t *testing.T) {
	f := newFake(t)
	got, note, err := f.EnsureCredential(t.Context(), Azure{Name: "az", ClientID: "i", ClientSecret: config.Hidden("s")})
	if got != Skipped || err != nil || !strings.Contains(note, "no kind AzureClusterIdentity (infrastructure.cluster.x-k8s.io/v1beta1): its provider is not enabled") {
		t.Errorf("%q, %q, %v, want it skipped for its kind", got, note, err)
	}
	got, note, err = f.EnsureCredential(t.Context(), Metal3{Name: "m", Machines: []BMC{{"n", "u", config.Hidden("p")}}})
	if got != Skipped || err != nil || !strings.Contains(note, "no kind BareMetalHost (metal3.io/v1alpha1): its provider is not enabled") {
		t.Errorf("%q, %q, %v, want it skipped for its kind", got, note, err)
	}
	if secrets, err := f.api.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{}); err != nil || len(secrets.Items) > 0 {
		t.Errorf("%d secrets, %v, want none", len(secrets.Items), err)
	}
}
