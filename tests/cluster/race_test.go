package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/tests/cluster/plane"
)

// TestTakenOver has kcm upgrade the release while Helm still waits for a hook,
// as slow pulls bring about. What Helm then thinks of its own attempt does not
// matter; the platform comes up.
func TestTakenOver(t *testing.T) {
	s, ctx := open(t)
	s.play(t)
	slow := values("regional.cert-manager.startupapicheck.image.repository", "10.0.0.5:5000/slow/image")
	if _, err := s.InstallChart(ctx, platform(t, "1.2.3"), slow, cluster.Options{Timeout: 3 * time.Second, Atomic: true}); err != nil {
		t.Fatal(err)
	}
	s.ready(ctx, t)
	if s.argument(ctx, t, "webhook-port") != "9443" {
		t.Error("the second pass was undone")
	}
	before := s.revisions(t)
	if len(before) != 2 || before[1] != "deployed" {
		t.Errorf("revisions are %q, want a second one that is deployed", before)
	}
	s.install(ctx, t, "1.2.3", slow, cluster.Unchanged)
	if after := s.revisions(t); !slices.Equal(before, after) {
		t.Errorf("revisions were %q and are %q", before, after)
	}
}

// TestWebhookNotUp changes Management in the moment of kcm's second pass in
// which its webhook is registered, refuses everything it is not asked about, and
// is not there yet.
func TestWebhookNotUp(t *testing.T) {
	s, ctx := open(t)
	s.play(t)
	s.install(ctx, t, "1.2.3", quick(), cluster.Installed)
	s.ready(ctx, t)
	ports, err := plane.FreePorts(1) // refused at first
	if err != nil {
		t.Fatal(err)
	}
	webhook := httptest.NewUnstartedServer(http.HandlerFunc(admit))
	address := "127.0.0.1:" + ports[0]
	webhook.Listener.Close()
	s.register(ctx, t, "https://"+address, webhook)
	started := make(chan struct{})
	time.AfterFunc(3*time.Second, func() {
		defer close(started)
		if webhook.Listener, err = net.Listen("tcp", address); err != nil {
			t.Error(err)
			return
		}
		webhook.StartTLS()
	})
	s.install(ctx, t, "1.2.3", quick("controller.defaultHelmTimeout", "20m"), cluster.Configured)
	select {
	case <-started:
	default:
		t.Error("Management was changed past the webhook")
	}
	s.ready(ctx, t)
	if err := s.plane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, "tests", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	<-started
	webhook.Close()
}

// register makes the API server call the webhook for Managements.
func (s *site) register(ctx context.Context, t *testing.T, url string, webhook *httptest.Server) {
	t.Helper()
	fail, none, scope := admissionv1.Fail, admissionv1.SideEffectClassNone, admissionv1.AllScopes
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS() // makes the certificate that all such servers have
	defer certificate.Close()
	webhook.TLS = &tls.Config{Certificates: certificate.TLS.Certificates}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate().Raw})
	config := &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "tests"},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "validation.management.k0rdent.mirantis.com", FailurePolicy: &fail, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionv1.WebhookClientConfig{URL: &url, CABundle: ca},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{"k0rdent.mirantis.com"}, APIVersions: []string{"*"}, Resources: []string{"managements"}, Scope: &scope},
			}},
		}},
	}
	if _, err := s.plane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, "the API server to ask the webhook", func() bool {
		m := s.management(ctx, t)
		_, err := s.objects.Resource(managements).Update(ctx, m, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && strings.Contains(err.Error(), "failed calling webhook")
	})
}

// admit is a webhook that allows everything.
func admit(w http.ResponseWriter, r *http.Request) {
	var review struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Request    *struct {
			UID string `json:"uid"`
		} `json:"request,omitempty"`
		Response map[string]any `json:"response"`
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "not a review", http.StatusBadRequest)
		return
	}
	review.Response = map[string]any{"uid": review.Request.UID, "allowed": true}
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // the API server tells if it got none
}
