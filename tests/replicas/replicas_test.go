package replicas

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The example is what the tests run.
func TestExample(t *testing.T) {
	text, err := os.ReadFile("../../docs/examples/distribution.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(string(text), "version:")
	if want := fmt.Sprintf(config, "s3.site.example", true, ":443", "/etc/distribution"); "version:"+got != want {
		t.Errorf("distribution.yml has\n%s, want\n%s", got, want)
	}
}
