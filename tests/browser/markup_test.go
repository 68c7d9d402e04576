package browser

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// void elements have no end tag.
var void = map[string]bool{"meta": true, "input": true, "link": true, "br": true, "hr": true, "img": true}

// known are the elements that the page may have, and the attributes of each
// besides class, id and aria-*.
var known = map[string]string{
	"html": "lang", "head": "", "meta": "charset name content", "title": "", "style": "", "body": "",
	"header": "", "main": "", "footer": "", "section": "", "article": "", "nav": "",
	"h1": "", "h2": "", "p": "", "ul": "", "li": "", "dl": "", "dt": "", "dd": "", "div": "",
	"a": "href rel download", "span": "", "strong": "", "code": "",
	"form": "action method role", "label": "for", "button": "type", "details": "open", "summary": "",
	"input": "name type value maxlength autocomplete readonly",
}

// within names the parents that an element must have.
var within = map[string]string{
	"li": "ul", "dt": "div", "dd": "div", "summary": "details", "title": "head", "meta": "head", "style": "head",
	"head": "html", "body": "html", "main": "body", "header": "body", "footer": "body",
}

// block elements cannot be inside of a paragraph, a heading or a link's text.
const block = " p h1 h2 ul dl div section article nav form details header footer main "

func markup(t *testing.T, s *site) {
	const repository = "/?repository=k0rdent-enterprise/"
	for _, path := range []string{
		"/", "/?n=5", "/?q=none", "/?q=busybox", "/?n=2&last=k0rdent-enterprise/b", "/?last=zzz",
		repository + "busybox", repository + "charts/k0rdent-enterprise", repository + "charts/k0rdent-enterprise&tag=1.3.0", repository + "kcm-controller&n=1",
	} {
		for _, problem := range problems(string(s.get(path))) {
			t.Errorf("%s: %s", path, problem)
		}
	}
	// The check can fail.
	for text, want := range map[string]string{
		"<!DOCTYPE html><html lang=en><head><title>t</title></head><body><main><h1>a</h1><p>x</main></body></html>":                                     "</main> ends <p>",
		"<!DOCTYPE html><html lang=en><head><title>t</title></head><body><main><h1>a</h1><p id=a></p><p id=a></p></main></body></html>":                 "id a twice",
		"<!DOCTYPE html><html lang=en><head><title>t</title></head><body><main><h1>a</h1><blink></blink></main></body></html>":                          "<blink> is not known",
		"<!DOCTYPE html><html lang=en><head><title>t</title></head><body><main><h1>a</h1><p onclick=x></p></main></body></html>":                        "<p onclick>",
		"<!DOCTYPE html><html lang=en><head><title>t</title></head><body><main><h1>a</h1><p><ul></ul></p></main></body></html>":                         "<ul> inside of <p>",
		"<html lang=en><head><title>t</title></head><body><main><h1>a</h1></main></body></html>":                                                        "no doctype",
		"<!DOCTYPE html><html lang=en><head><title></title></head><body><main></main></body></html>":                                                    "0 h1",
		"<!DOCTYPE html><html lang=en><head><title>t</title></head><body><main><h1>a</h1><input id=q type=text></main></body></html>":                   "input q has no label",
		"<!DOCTYPE html><html lang=en><head><title>t</title></head><body><main><h1>a</h1><section aria-labelledby=z></section></main></body></html>":    "aria-labelledby z",
		"<!DOCTYPE html><html lang=en><head><title>t</title></head><body><main><h1>a</h1><ul><li><a href=http://x>x</a></li></ul></main></body></html>": "leads elsewhere",
	} {
		if got := strings.Join(problems(text), "; "); !strings.Contains(got, want) {
			t.Errorf("problems of %s: %q, want %q", text, got, want)
		}
	}
}

// checker reads a page tag by tag, since a parser would repair it.
type checker struct {
	found  []string
	stack  []string
	count  map[string]int
	ids    map[string]bool
	refs   [][2]string // what names an id, and the id
	inputs []string    // ids of inputs outside of a label
}

func problems(page string) []string {
	c := &checker{count: map[string]int{}, ids: map[string]bool{}}
	z := html.NewTokenizer(strings.NewReader(page))
	for doctype := false; ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		token := z.Token()
		switch kind {
		case html.DoctypeToken:
			doctype = token.Data == "html"
		case html.StartTagToken, html.SelfClosingTagToken:
			if !doctype {
				c.add("no doctype")
				doctype = true
			}
			c.start(token)
		case html.EndTagToken:
			c.end(token.Data)
		}
	}
	return c.done()
}

func (c *checker) add(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

func (c *checker) start(token html.Token) {
	name := token.Data
	c.count[name]++
	attributes, ok := known[name]
	if !ok {
		c.add("<%s> is not known", name)
	}
	parent := ""
	if len(c.stack) > 0 {
		parent = c.stack[len(c.stack)-1]
	}
	if want := within[name]; want != "" && parent != want {
		c.add("<%s> inside of <%s>", name, parent)
	}
	for _, outer := range c.stack {
		if strings.Contains(" p h1 h2 a span label summary ", " "+outer+" ") && strings.Contains(block, " "+name+" ") || outer == "a" && name == "a" {
			c.add("<%s> inside of <%s>", name, outer)
		}
	}
	c.attributes(token, attributes)
	if !void[name] {
		c.stack = append(c.stack, name)
	}
}

func (c *checker) attributes(token html.Token, known string) {
	seen := map[string]string{}
	for _, a := range token.Attr {
		seen[a.Key] = a.Val
		switch {
		case a.Key == "id":
			if c.ids[a.Val] || a.Val == "" {
				c.add("id %s twice", a.Val)
			}
			c.ids[a.Val] = true
		case a.Key == "for" || a.Key == "aria-labelledby":
			c.refs = append(c.refs, [2]string{a.Key, a.Val})
		case a.Key == "href" && a.Val[:min(1, len(a.Val))] == "#":
			c.refs = append(c.refs, [2]string{a.Key, a.Val[1:]})
		case a.Key == "href" && (!strings.HasPrefix(a.Val, "/") || strings.HasPrefix(a.Val, "//")):
			c.add("%s leads elsewhere", a.Val)
		case a.Key != "class" && a.Key != "aria-label" && !strings.Contains(" "+known+" ", " "+a.Key+" "):
			c.add("<%s %s> is not known", token.Data, a.Key)
		}
	}
	if token.Data == "input" && !strings.Contains(strings.Join(c.stack, " "), "label") {
		c.inputs = append(c.inputs, seen["id"])
	}
}

func (c *checker) end(name string) {
	last := len(c.stack) - 1
	if last < 0 || void[name] {
		c.add("</%s> ends nothing", name)
		return
	}
	if c.stack[last] != name {
		c.add("</%s> ends <%s>", name, c.stack[last])
	}
	c.stack = c.stack[:last]
}

func (c *checker) done() []string {
	labelled := map[string]bool{}
	for _, ref := range c.refs {
		if labelled[ref[1]] = true; !c.ids[ref[1]] {
			c.add("%s %s: there is no such id", ref[0], ref[1])
		}
	}
	for _, id := range c.inputs {
		if !labelled[id] {
			c.add("input %s has no label", id)
		}
	}
	for _, name := range []string{"title", "h1", "main", "head", "body"} {
		if c.count[name] != 1 {
			c.add("%d %s, want 1", c.count[name], name)
		}
	}
	if len(c.stack) > 0 {
		c.add("not ended: %v", c.stack)
	}
	return c.found
}
