package chart

import (
	"fmt"
	"slices"
	"strings"
)

// A script interprets the part of the shell's language that cluster templates use:
// lists with ";", "&&" and "||", "if", quotes, and variables. Everything else is an
// error, so that no result is a guess.
type script struct {
	rest string                  // the text that has not been read
	run  func(argv []string) int // runs a command and returns its status
	vars map[string]string
}

// runScript runs a command line.
func runScript(line string, run func(argv []string) int) (status int, err error) {
	s := &script{rest: line, run: run, vars: map[string]string{}}
	defer func() {
		if p, ok := recover().(syntaxError); ok {
			err = p
		}
	}()
	status = s.list(true)
	if s.peek() != "" {
		s.fail()
	}
	return status, nil
}

// A syntaxError reports syntax that script does not support.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

// unsupported ends the script with an error.
func unsupported(text string) { panic(syntaxError(fmt.Sprintf("%q is not supported", text))) }

// fail ends the script with an error about what is next.
func (s *script) fail() {
	if next := s.peek(); next != "" {
		unsupported(next)
	}
	panic(syntaxError("unexpected end"))
}

// peek returns what is next: an operator, a word with its quotes as far as its first
// blank, or "" at the end. A newline is a ";".
func (s *script) peek() string {
	s.rest = strings.TrimLeft(s.rest, " \t")
	if strings.HasPrefix(s.rest, "#") {
		s.rest = s.rest[strings.IndexByte(s.rest+"\n", '\n'):]
	}
	switch {
	case s.rest == "":
		return ""
	case strings.HasPrefix(s.rest, "&&"), strings.HasPrefix(s.rest, "||"):
		return s.rest[:2]
	case s.rest[0] == ';', s.rest[0] == '\n':
		return ";"
	}
	end := strings.IndexAny(s.rest+" ", " \t\n;&|<>()`")
	if end == 0 {
		unsupported(s.rest[:1])
	}
	return s.rest[:end]
}

// take reads what is next if it is one of these operators or keywords, and reports
// whether it is.
func (s *script) take(names ...string) bool {
	next := s.peek()
	if !slices.Contains(names, next) {
		return false
	}
	s.rest = s.rest[len(next):]
	if next == ";" {
		s.rest = strings.TrimLeft(s.rest, " \t\n")
	}
	return true
}

func (s *script) expect(keyword string) {
	if !s.take(keyword) {
		s.fail()
	}
}

// list runs commands up to a word that ends a list. Without do, it only parses them.
func (s *script) list(do bool) int {
	status := 0
	for !slices.Contains([]string{"", "then", "elif", "else", "fi"}, s.peek()) {
		status = s.chain(do)
		if !s.take(";") {
			break
		}
	}
	return status
}

// chain runs commands joined by "&&" and "||".
func (s *script) chain(do bool) int {
	status := s.command(do)
	for {
		and := s.peek() == "&&"
		if !s.take("&&", "||") {
			return status
		}
		if do && (status == 0) == and {
			status = s.command(true)
		} else {
			s.command(false)
		}
	}
}

func (s *script) command(do bool) int {
	switch {
	case s.take("!"):
		if s.command(do) == 0 {
			return 1
		}
		return 0
	case s.take("if"):
		return s.branch(do)
	case slices.Contains([]string{"for", "while", "until", "case", "function", "{"}, s.peek()):
		s.fail()
	}
	var argv []string
	assigned := false
	for next := s.peek(); !slices.Contains([]string{"", ";", "&&", "||"}, next); next = s.peek() {
		name, _, isAssignment := strings.Cut(next, "=")
		word := s.word(do)
		if len(argv) > 0 || !isAssignment || !isName(name) {
			argv = append(argv, word)
			continue
		}
		assigned = true
		if do {
			s.vars[name] = word[len(name)+1:]
		}
	}
	switch {
	case len(argv) == 0 && !assigned:
		s.fail()
	case len(argv) == 0 || !do:
		return 0
	}
	return s.run(argv)
}

// branch runs an "if" up to its "fi".
func (s *script) branch(do bool) int {
	status, done := 0, false
	for first := true; first || s.take("elif"); first = false {
		met := s.list(do && !done) == 0
		s.expect("then")
		take := do && !done && met
		if r := s.list(take); take {
			status, done = r, true
		}
	}
	if s.take("else") {
		if r := s.list(do && !done); do && !done {
			status = r
		}
	}
	s.expect("fi")
	return status
}

// word reads a word and returns it without quotes and, with do, with the values of its
// variables.
func (s *script) word(do bool) string {
	var b strings.Builder
	quoted := false // in double quotes
	for s.rest != "" {
		c := s.rest[0]
		switch {
		case c == '"':
			quoted = !quoted
		case c == '\\' && len(s.rest) > 1:
			b.WriteByte(s.rest[1])
			s.rest = s.rest[1:]
		case c == '$':
			b.WriteString(s.variable(do))
			continue
		case c == '`' || !quoted && strings.IndexByte("<>()", c) >= 0:
			unsupported(string(c))
		case !quoted && strings.IndexByte(" \t\n;&|", c) >= 0:
			return b.String()
		case !quoted && c == '\'':
			inner, after, found := strings.Cut(s.rest[1:], "'")
			if !found {
				panic(syntaxError("unterminated quote"))
			}
			b.WriteString(inner)
			s.rest = after
			continue
		default:
			b.WriteByte(c)
		}
		s.rest = s.rest[1:]
	}
	if quoted {
		panic(syntaxError("unterminated quote"))
	}
	return b.String()
}

// variable reads a variable and returns its value. Without do, it returns "".
func (s *script) variable(do bool) string {
	after := s.rest[1:]
	name, closed := "", true
	switch {
	case strings.HasPrefix(after, "("):
		unsupported("$(")
	case strings.HasPrefix(after, "{"):
		name, s.rest, closed = strings.Cut(after[1:], "}")
	default:
		s.rest = strings.TrimLeftFunc(after, isNameLetter)
		name = after[:len(after)-len(s.rest)]
	}
	if !do {
		return ""
	}
	value, known := s.vars[name]
	if !known || !closed {
		panic(syntaxError(fmt.Sprintf("unknown variable $%s", name)))
	}
	return value
}

func isNameLetter(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

func isName(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') && strings.TrimLeftFunc(s, isNameLetter) == ""
}
