package main

import (
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"k0rdent-airgap/lib/record"
)

var filesPage = template.Must(template.New("files").Funcs(template.FuncMap{"bytes": record.Bytes}).Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Files</title></head><body>
<h1>Files</h1>
{{if .}}<table>
<tr><th>Name</th><th>Size</th><th>SHA-256</th></tr>
{{range .}}<tr><td><a href="{{.Name}}">{{.Name}}</a></td><td>{{bytes .Size}}</td><td><code>{{.Sum}}</code></td></tr>
{{end}}</table>
<p><a href="sha256sums.txt">sha256sums.txt</a></p>
{{else}}<p>There are none. oci-push stores the files of a bundle.</p>
{{end}}</body></html>
`))

// listFiles answers with the files and their checksums: a page, or the text that
// "sha256sum -c" reads.
func listFiles(w http.ResponseWriter, r *http.Request, all []file, text bool) error {
	var b strings.Builder
	if !text {
		if err := filesPage.Execute(&b, all); err != nil {
			return err
		}
		sendText(w, r, "text/html; charset=utf-8", b.String())
		return nil
	}
	for _, f := range all {
		fmt.Fprintf(&b, "%s  %s\n", f.Sum, f.Name)
	}
	sendText(w, r, "text/plain; charset=utf-8", b.String())
	return nil
}

func sendText(w http.ResponseWriter, r *http.Request, kind, text string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}
