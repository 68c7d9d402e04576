// Command page renders a Markdown file as an HTML page of the documentation.
//
//	page FILE [UP] >PAGE
//
// Links to other Markdown files become links to their pages, README.md being a
// directory's index. UP is the way from the page to the root of the
// documentation, such as "../".
package main

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"os"
	"path"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 {
		fmt.Fprintln(os.Stderr, "usage: page FILE [UP]")
		os.Exit(2)
	}
	source, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = render(os.Stdout, source, strings.Join(os.Args[2:], ""), section(os.Args[1]))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "page: %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

var frame = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="{{.Up}}style.css">
<link rel="icon" href="data:,">
<title>{{.Title}}</title>
</head>
<body>
<p><a href="{{.Up}}index.html">k0rdent-airgap</a>{{with .Section}} / <a href="index.html">{{.}}</a>{{end}}</p>
{{.Body}}</body>
</html>
`))

var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))

// section returns the name of the directory whose index a page leads back to, or
// "" for an index and for pages at the root.
func section(file string) string {
	dir, name := path.Split(file)
	if dir = path.Base(dir); dir == "docs" || name == "README.md" {
		return ""
	}
	return dir
}

// render writes the page of a Markdown source.
func render(w io.Writer, source []byte, up, section string) error {
	doc := markdown.Parser().Parse(text.NewReader(source))
	title := "k0rdent-airgap"
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Heading:
			if n.Level == 1 && entering {
				title = string(n.Lines().Value(source))
			}
		case *ast.Link:
			if entering {
				n.Destination = []byte(toPage(string(n.Destination)))
			}
		case *ast.CodeSpan:
			// Browsers break lines after hyphens, as in --tls.
			if text, ok := n.FirstChild().(*ast.Text); entering && ok && text.Segment.Len() <= 24 {
				n.SetAttributeString("class", []byte("short"))
			}
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := markdown.Renderer().Render(&body, source, doc); err != nil {
		return err
	}
	return frame.Execute(w, struct {
		Up, Section, Title string
		Body               template.HTML
	}{up, section, title, template.HTML(body.String())}) // our own text, in which goldmark has escaped HTML
}

// toPage returns the page that a link in a Markdown file leads to. Manual pages,
// which are Markdown in man/, are at the root of the documentation.
func toPage(link string) string {
	file, fragment, found := strings.Cut(link, "#")
	if found {
		fragment = "#" + fragment
	}
	if strings.Contains(file, ":") || path.Ext(file) != ".md" {
		return link
	}
	dir, name := path.Split(file)
	name = strings.TrimSuffix(name, ".md")
	if name == "README" {
		name = "index"
	}
	return strings.TrimSuffix(dir, "man/") + name + ".html" + fragment
}
