package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"k0rdent-airgap/lib/config"
)

func TestEnsureNamespace(t *testing.T) {
	f := newFake(t)
	for _, want := range []Status{Created, Unchanged} {
		if got, err := f.EnsureNamespace(t.Context(), Namespace); got != want || err != nil {
			t.Errorf("EnsureNamespace = %q, %v, want %q", got, err, want)
		}
	}
	now := metav1.Now()
	for _, tt := range []struct {
		conditions []corev1.NamespaceCondition
		want       string
	}{
		{nil, "wait until it no longer exists"},
		{[]corev1.NamespaceCondition{
			{Type: corev1.NamespaceDeletionDiscoveryFailure, Status: corev1.ConditionTrue, Message: "another one"},
			{Type: corev1.NamespaceFinalizersRemaining, Status: corev1.ConditionTrue, Message: "kcm has a finalizer"},
		}, "kcm has a finalizer"},
	} {
		f := newFake(t, &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{Name: Namespace, DeletionTimestamp: &now, Finalizers: []string{"kubernetes"}},
			Status:     corev1.NamespaceStatus{Conditions: tt.conditions},
		})
		_, err := f.EnsureNamespace(t.Context(), Namespace)
		if err == nil || !strings.HasSuffix(err.Error(), "namespace kcm-system is being deleted: "+tt.want) {
			t.Errorf("error = %v, want that it is being deleted, and %q", err, tt.want)
		}
	}
}

// TestEnsureSecret does what PlanSecret announces, does nothing a second time, and
// leaves other data alone.
func TestEnsureSecret(t *testing.T) {
	want := Secret{Name: "s", Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"a": []byte("1")}, Labels: map[string]string{"l": "1"}}
	have := func(kind corev1.SecretType, labels map[string]string, data map[string][]byte) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: "s", UID: "1", Labels: labels}, Type: kind, Data: data}
	}
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, "s", nil)
	tests := []struct {
		name   string
		have   *corev1.Secret
		fail   map[string]error // verb → error of the first such request
		status Status
		data   string
	}{
		{"none", nil, nil, Created, `{"a":"1"}`},
		{"another run is faster", nil, map[string]error{"create": apierrors.NewAlreadyExists(schema.GroupResource{}, "s")}, Created, `{"a":"1"}`},
		{"the same", have("Opaque", map[string]string{"l": "1"}, map[string][]byte{"a": []byte("1")}), nil, Unchanged, `{"a":"1"}`},
		{"more than is asked for", have("Opaque", map[string]string{"l": "1", "m": "2"}, map[string][]byte{"a": []byte("1"), "b": []byte("2")}), nil, Unchanged, `{"a":"1","b":"2"}`},
		{"other data", have("Opaque", map[string]string{"l": "1"}, map[string][]byte{"a": []byte("0"), "b": []byte("2")}), nil, Updated, `{"a":"1","b":"2"}`},
		{"no data and no labels", have("Opaque", nil, nil), nil, Updated, `{"a":"1"}`},
		{"another label", have("Opaque", map[string]string{"l": "0"}, map[string][]byte{"a": []byte("1")}), nil, Updated, `{"a":"1"}`},
		{"changed in between", have("Opaque", nil, nil), map[string]error{"update": conflict}, Updated, `{"a":"1"}`},
		{"another type", have(corev1.SecretTypeDockerConfigJson, nil, map[string][]byte{"b": []byte("2")}), nil, Updated, `{"a":"1"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var objects []runtime.Object
			if tt.have != nil {
				objects = append(objects, tt.have)
			}
			f := newFake(t, objects...)
			for verb, err := range tt.fail {
				failing(&f.api.Fake, verb, "secrets", err)
			}
			if got, err := f.PlanSecret(t.Context(), want); got != tt.status || err != nil {
				t.Errorf("PlanSecret = %q, %v, want %q", got, err, tt.status)
			}
			for _, a := range f.api.Actions() {
				if a.GetVerb() != "get" {
					t.Errorf("the plan does %s %s", a.GetVerb(), a.GetResource().Resource)
				}
			}
			for _, status := range []Status{tt.status, Unchanged} {
				if got, err := f.EnsureSecret(t.Context(), want); got != status || err != nil {
					t.Errorf("EnsureSecret = %q, %v, want %q", got, err, status)
				}
			}
			s, err := f.api.CoreV1().Secrets(Namespace).Get(t.Context(), "s", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			data := make(map[string]string)
			for k, v := range s.Data {
				data[k] = string(v)
			}
			if got := text(data); got != tt.data || s.Labels["l"] != "1" || s.Type != want.Type {
				t.Errorf("secret has %s, labels %v, type %s, want %s, l=1, %s", got, s.Labels, s.Type, tt.data, want.Type)
			}
		})
	}
	f := newFake(t)
	denied := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "s", nil)
	failing(&f.api.Fake, "get", "secrets", denied, denied)
	if _, err := f.PlanSecret(t.Context(), want); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "secret kcm-system/s: ") {
		t.Errorf("PlanSecret: error = %v, want that it is forbidden, by name", err)
	}
	if _, err := f.EnsureSecret(t.Context(), want); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "secret kcm-system/s: ") {
		t.Errorf("EnsureSecret: error = %v, want that it is forbidden, by name", err)
	}
}

// TestSecretForms checks that each Secret has the form that its reader expects, and
// does not print its data.
func TestSecretForms(t *testing.T) {
	pull, err := PullSecret("p", "10.0.0.5:5000", "me", "geheim")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Auths map[string]map[string]string }
	if err := json.Unmarshal(pull.Data[".dockerconfigjson"], &file); err != nil {
		t.Fatal(err)
	}
	login := map[string]string{"username": "me", "password": "geheim", "auth": "bWU6Z2VoZWlt"}
	if got := file.Auths["10.0.0.5:5000"]; !maps.Equal(got, login) || pull.Type != corev1.SecretTypeDockerConfigJson {
		t.Errorf("pull secret of type %s for %v, want the login", pull.Type, got)
	}
	creds := CredsSecret("c", "me", "geheim")
	if string(creds.Data["username"]) != "me" || string(creds.Data["password"]) != "geheim" {
		t.Errorf("login in %d keys, want username and password", len(creds.Data))
	}
	if ca := CASecret("a", []byte("geheim")); string(ca.Data["ca.crt"]) != "geheim" {
		t.Error("no certificates in ca.crt")
	}
	for _, s := range []any{pull, creds, AWS{Name: "n", SecretAccessKey: config.Hidden("geheim")}, Azure{Name: "n", ClientSecret: config.Hidden("geheim")}, OpenStack{Name: "n", Password: config.Hidden("geheim")},
		GCP{Name: "n", ServiceAccountKey: config.Hidden("geheim")}, VSphere{Name: "n", Password: config.Hidden("geheim")}, Metal3{Name: "n", Machines: []BMC{{"m", "u", config.Hidden("geheim")}}}, BMC{Name: "n", Password: config.Hidden("geheim")}} {
		for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(form, s); strings.Contains(text, "geheim") || strings.Contains(text, "Z2VoZWlt") || text == "" {
				t.Errorf("%s prints %q", form, text)
			}
		}
	}
}
