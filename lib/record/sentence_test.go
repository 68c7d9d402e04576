package record

import (
	"testing"
	"time"
)

func TestSummaryIsASentence(t *testing.T) {
	tests := []struct {
		in   Summary
		want string
	}{
		{Summary{Tool: "bundle-ls", Counts: map[string]int{"chart": 13, "skipped": 2, "image": 39, "artifact": 5, "index": 6}, Bytes: 20_500_000, Seconds: 0.2},
			"bundle-ls: 39 images, 13 charts, 6 indexes, 5 artifacts; 2 skipped; 20.5 MB in 0.2 s"},
		{Summary{Tool: "oci-push", Counts: map[string]int{"skipped": 10, "failed": 2, "exists": 1, "pushed": 60}, Seconds: 1.06},
			"oci-push: 2 failed; 60 pushed, 1 already exists; 10 skipped in 1.1 s"},
		{Summary{Tool: "oci-push", Counts: map[string]int{"exists": 63}}, "oci-push: 63 already exist in 0.0 s"},
		{Summary{Tool: "bundle-ls", Counts: map[string]int{"index": 1}}, "bundle-ls: 1 index in 0.0 s"},
		{Summary{Tool: "oci-serve", Counts: map[string]int{"removed": 0, "kept": 9}}, "oci-serve: 0 removed, 9 kept in 0.0 s"},
		{Summary{Tool: "x", Counts: map[string]int{"zebra": 1, "apple": 2, "done": 3}}, "x: 3 done; 2 apple; 1 zebra in 0.0 s"},
		{Summary{Tool: "oci-push", Counts: map[string]int{"failed": 2}, Seconds: 1}, "oci-push: 2 failed in 1.0 s"},
		{Summary{Tool: "oci-push", Counts: map[string]int{"failed": 1}, Bytes: 7}, "oci-push: 1 failed; 7 B in 0.0 s"},
		{Summary{Tool: "oci-push", Counts: map[string]int{"failed": 1}, Seconds: 1}, ""},
		{Summary{Tool: "oci-push", Counts: map[string]int{}}, ""},
		{Summary{Tool: "oci-push"}, ""},
	}
	for _, tt := range tests {
		if got := tt.in.String(); got != tt.want {
			t.Errorf("String = %q, want %q", got, tt.want)
		}
	}
	for d, want := range map[time.Duration]float64{591911634: 0.592, 1902 * time.Millisecond: 1.902} {
		if got := Seconds(d); got != want {
			t.Errorf("Seconds(%v) = %v, want %v", d, got, want)
		}
	}
}
