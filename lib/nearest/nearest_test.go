package nearest

import "testing"

func TestLikely(t *testing.T) {
	flags := []string{"alias", "ca", "config", "format", "from", "from-password-file", "jobs", "password-file", "plan", "to", "username", "verbose"}
	for word, want := range map[string]string{
		"fromat": "format", "too": "to", "Format": "format", "form": "from", "pasword-file": "password-file", "password": "password-file",
		"user": "username", "v": "", "frobnicate": "", "": "", "verb": "verbose",
	} {
		if got := Likely(word, flags); got != want {
			t.Errorf("Likely(%q) = %q, want %q", word, got, want)
		}
	}
	if got := Likely("x", nil); got != "" {
		t.Errorf("Likely of nothing = %q", got)
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"network", "netwrok", 1}, {"form", "from", 1}, {"API", "api", 0}} {
		if got, back := Distance(tt.a, tt.b), Distance(tt.b, tt.a); got != tt.want || back != tt.want {
			t.Errorf("Distance(%q, %q) = %d and %d, want %d", tt.a, tt.b, got, back, tt.want)
		}
	}
}
