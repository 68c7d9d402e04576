package cluster

import (
	"testing"

	"k0rdent-airgap/lib/record"
)

// TestPlanOfWhatIsThere: the plan for a site that is as it should be has nothing
// in it, and the plan for one value has that alone.
func TestPlanOfWhatIsThere(t *testing.T) {
	ctx, _, h, r := aHost(t)
	if got := h.run(ctx, t, "k0rdent-install", r.args()...); got.code != 0 {
		t.Fatalf("%d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	got := h.run(ctx, t, "k0rdent-install", r.args("--plan")...)
	for name, s := range got.steps(t) {
		if s.Status == record.StatusPlanned && name != "report" || got.code != 0 {
			t.Errorf("%d, %+v, want nothing to do", got.code, s)
		}
	}
	got = h.run(ctx, t, "k0rdent-install", r.args("--plan", "--set", "k0rdent-ui.replicas=2")...)
	steps := got.steps(t)
	if want := "k0rdent-enterprise 1.2.3: configured, 1 value changes"; steps["helm"].Detail != want || steps["ready"].Status != record.StatusPlanned || steps["secrets"].Status != record.StatusUnchanged {
		t.Errorf("%+v, %+v, %+v, want %s alone", steps["helm"], steps["ready"], steps["secrets"], want)
	}
}
