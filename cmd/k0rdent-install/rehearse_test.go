package main

import (
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// findings returns the cells in the output of a run, by subject.
func findings(t *testing.T, stdout string) map[string]record.Finding {
	t.Helper()
	all := map[string]record.Finding{}
	for line, err := range record.Read(strings.NewReader(stdout)) {
		if err != nil {
			t.Fatal(err)
		}
		if line.Kind != (record.Finding{}).Kind() {
			continue
		}
		var f record.Finding
		if err := line.Decode(&f); err != nil {
			t.Fatal(err)
		}
		all[f.Subject] = f
	}
	return all
}

// TestRehearse needs no cluster. The status depends on this site's cells only.
func TestRehearse(t *testing.T) {
	s, h := aSite(t), testHost(t)
	r := try(t, h, "", "--registry", s.At, "--ca", s.CA, "--rehearse", "--k0s-url", "http://127.0.0.1:9/k0s")
	all := findings(t, r.Stdout)
	if len(all) == 0 || len(all)%8 != 0 {
		t.Fatalf("%d cells, want 8 for each template: %v\n%s", len(all), r.Err, r.Stderr)
	}
	if cli.Code(r.Err) != cli.CodeFailed || !strings.Contains(r.Err.Error(), "of this site (own-ca) fail") {
		t.Errorf("error %v, want one about the cells of this site", r.Err)
	}
	for subject, f := range all {
		if f.Status == record.StatusOK || f.Detail == "" || f.Check != "rehearse" {
			t.Errorf("%s: %+v, want it failed or unknown with a reason: nothing serves k0s", subject, f)
		}
		if f.Status == record.StatusFailed && f.Remedy == "" {
			t.Errorf("%s: no remedy for %q", subject, f.Detail)
		}
	}
}

func TestRehearseMisuse(t *testing.T) {
	for args, want := range map[string]string{
		"--rehearse --plan":    "--rehearse and --plan are mutually exclusive",
		"--rehearse --online":  "--rehearse and --online are mutually exclusive",
		"--rehearse --upgrade": "--rehearse and --upgrade are mutually exclusive",
	} {
		if r := try(t, testHost(t), "", strings.Fields(args)...); cli.Code(r.Err) != cli.CodeMisuse || r.Err.Error() != want {
			t.Errorf("%s: %v, want %s", args, r.Err, want)
		}
	}
}
