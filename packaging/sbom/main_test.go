package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The schemas that CycloneDX publishes are in the source of its library. Others
// refer to each by its address.
const (
	schemas  = "http://cyclonedx.org/schema/"
	bom      = "bom-1.6.schema.json"
	licences = "spdx.schema.json"
	signed   = "jsf-0.82.schema.json"
)

func TestSchema(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for name, file := range map[string]string{bom: bom, licences: licences, signed: "jsf-0.82.schemax.json"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(schemas+name, parse(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile(schemas + bom)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable() // this one, which has modules in it, too
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := write(&b, "tool", "1.2.3", program, time.Unix(1750000000, 0)); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(parse(t, b.Bytes())); err != nil {
		t.Errorf("%v\n%s", err, b.Bytes())
	}
	for _, change := range []string{`"type": "library"`, `"pkg:golang/`, `"alg": "SHA-256"`} {
		if !strings.Contains(b.String(), change) {
			t.Errorf("no %s in it", change)
		}
	}
	wrong := strings.Replace(b.String(), `"type": "library"`, `"type": "lib"`, 1)
	if schema.Validate(parse(t, []byte(wrong))) == nil {
		t.Error("the schema takes a component of no type that there is")
	}
}

func parse(t *testing.T, text []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
