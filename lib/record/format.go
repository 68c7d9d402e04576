package record

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"k0rdent-airgap/lib/nearest"
)

const (
	formatAuto     = "auto"
	formatJSON     = "json"
	formatTable    = "table"
	formatTemplate = "template"
)

// Format is the value of a --format flag: "auto", "json", "table" or a Go
// template. It has the methods of flag.Value.
type Format struct {
	name   string
	text   string
	main   Record
	kinds  []string       // that a template is applied to
	titles []string       // of the table's columns
	blank  map[string]any // every field of the tool's own kinds, empty
	tmpl   *template.Template
}

// NewFormat returns the automatic format, a table on a terminal and JSON
// elsewhere, of a tool whose own records are of main's kind, or of others; a
// template is applied only to those.
func NewFormat(main Record, also ...Record) *Format {
	f := &Format{name: formatAuto, text: formatAuto, main: main, blank: map[string]any{"kind": ""}}
	for _, r := range append(also, main) {
		f.kinds = append(f.kinds, r.Kind())
		maps.Copy(f.blank, values(reflect.Zero(reflect.TypeOf(r))))
	}
	return f
}

// Table sets the columns of the table. A tool without any answers in sentences.
func (f *Format) Table(titles ...string) *Format {
	f.titles = titles
	return f
}

// JSON reports whether records are written as JSON where stdout is not a
// terminal.
func (f *Format) JSON() bool { return f == nil || f.name == formatJSON || f.name == formatAuto }

// String returns the flag's value.
func (f *Format) String() string {
	if f == nil {
		return ""
	}
	return f.text
}

// Set parses the flag's value. A template must contain "{{" and may name only
// fields of the tool's own kind, so that a misspelt field is an error here and
// not an empty line later.
func (f *Format) Set(s string) error {
	switch {
	case s == formatAuto || s == formatJSON || s == formatTable:
		f.name = s
	case strings.Contains(s, "{{"):
		t, err := template.New("format").Option("missingkey=error").Parse(s)
		if err != nil {
			return errors.New(position.ReplaceAllString(err.Error(), ""))
		}
		f.name, f.tmpl = formatTemplate, t
		if err := t.Execute(&bytes.Buffer{}, f.blank); err != nil {
			return f.unknown(err)
		}
	default:
		return fmt.Errorf("must be auto, json, table or a template such as '{{.%s}}'%s", fields(reflect.TypeOf(f.main))[0],
			nearest.Meant(s, []string{formatAuto, formatJSON, formatTable}, ""))
	}
	f.text = s
	return nil
}

// What text/template puts before an error, and its error for a field that a
// record does not have.
var (
	position = regexp.MustCompile(`^template: format:[0-9:]* *`)
	noField  = regexp.MustCompile(`map has no entry for key "([^"]*)"`)
)

// unknown returns the error for a template that cannot be applied to the tool's
// own kind of record.
func (f *Format) unknown(err error) error {
	names := fields(reflect.TypeOf(f.main))
	problem := position.ReplaceAllString(err.Error(), "")
	if m := noField.FindStringSubmatch(problem); m != nil {
		problem = fmt.Sprintf("unknown field %s%s", m[1], nearest.Meant(m[1], names, ""))
	}
	return fmt.Errorf("%s; %s records have %s", problem, f.main.Kind(), strings.Join(names, " "))
}

// execute applies the template to a record of the tool's own kind and ends
// the result with a line end.
func (f *Format) execute(w *Writer, r Record) error {
	if !slices.Contains(f.kinds, r.Kind()) {
		return nil
	}
	have := maps.Clone(f.blank)
	maps.Copy(have, values(reflect.Indirect(reflect.ValueOf(r))))
	have["kind"] = r.Kind()
	var b bytes.Buffer
	if err := f.tmpl.Execute(&b, have); err != nil {
		return err
	}
	b.WriteByte('\n')
	return w.put(b.Bytes())
}

// fields returns the JSON names of a record's fields, in order.
func fields(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		names = append(names, jsonName(f))
	}
	return names
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// values returns the fields of a record by their JSON names, also empty ones, so
// that a template may name a field that some records omit.
func values(r reflect.Value) map[string]any {
	m := make(map[string]any)
	for f, v := range r.Fields() {
		m[jsonName(f)] = v.Interface()
		if f.Type.Kind() == reflect.Pointer { // to a part of the record
			part := reflect.Zero(f.Type.Elem())
			if !v.IsNil() {
				part = v.Elem()
			}
			m[jsonName(f)] = values(part)
		}
	}
	return m
}
