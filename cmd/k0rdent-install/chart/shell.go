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
	tokens []token
	run    func(argv []string) int // runs a command and returns its status
	vars   map[string]string
}

// A token is a word, or an operator if op is set.
type token struct {
	text  string
	parts []part
	op    bool
}

// A part of a word is literal text, or text with variables.
type part struct {
	text    string
	literal bool
}

// runScript runs a command line.
func runScript(line string, run func(argv []string) int) (status int, err error) {
	tokens, err := tokenize(line)
	if err != nil {
		return 0, err
	}
	s := &script{tokens: tokens, run: run, vars: map[string]string{}}
	defer func() {
		if p, ok := recover().(syntaxError); ok {
			err = p
		}
	}()
	status = s.list(true)
	if len(s.tokens) > 0 {
		s.fail()
	}
	return status, nil
}

// A syntaxError reports syntax that script does not support.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

func (s *script) fail() {
	if len(s.tokens) == 0 {
		panic(syntaxError("unexpected end"))
	}
	panic(syntaxError(fmt.Sprintf("%q is not supported", s.tokens[0].text)))
}

// word reports whether one of these words, unquoted, is next.
func (s *script) word(names ...string) bool {
	return len(s.tokens) > 0 && !s.tokens[0].op && slices.Contains(names, s.tokens[0].text) && len(s.tokens[0].parts) == 1 && !s.tokens[0].parts[0].literal
}

func (s *script) operator(names ...string) bool {
	return len(s.tokens) > 0 && s.tokens[0].op && slices.Contains(names, s.tokens[0].text)
}

func (s *script) expect(word string) {
	if !s.word(word) {
		s.fail()
	}
	s.tokens = s.tokens[1:]
}

// list runs commands up to a word that ends a list. Without do, it only parses them.
func (s *script) list(do bool) int {
	status := 0
	for len(s.tokens) > 0 && !s.word("then", "elif", "else", "fi") {
		status = s.chain(do)
		if !s.operator(";") {
			break
		}
		s.tokens = s.tokens[1:]
	}
	return status
}

// chain runs commands joined by "&&" and "||".
func (s *script) chain(do bool) int {
	status := s.command(do)
	for s.operator("&&", "||") {
		and := s.tokens[0].text == "&&"
		s.tokens = s.tokens[1:]
		if next := do && (status == 0) == and; next {
			status = s.command(true)
		} else {
			s.command(false)
		}
	}
	return status
}

func (s *script) command(do bool) int {
	if s.word("!") {
		s.tokens = s.tokens[1:]
		if s.command(do) == 0 {
			return 1
		}
		return 0
	}
	if s.word("if") {
		return s.branch(do)
	}
	if s.word("for", "while", "until", "case", "function", "{", "(") {
		s.fail()
	}
	var argv []string
	for len(s.tokens) > 0 && !s.tokens[0].op {
		t := s.tokens[0]
		name, _, isAssignment := strings.Cut(t.text, "=")
		word := t.text
		if do {
			word = s.expand(t)
		}
		s.tokens = s.tokens[1:]
		if len(argv) == 0 && isAssignment && isName(name) {
			_, s.vars[name], _ = strings.Cut(word, "=")
			if len(s.tokens) == 0 || s.tokens[0].op {
				return 0
			}
			continue
		}
		argv = append(argv, word)
	}
	if len(argv) == 0 {
		s.fail()
	}
	if !do {
		return 0
	}
	return s.run(argv)
}

// branch runs an "if" up to its "fi".
func (s *script) branch(do bool) int {
	status, done := 0, false
	for first := true; first || s.word("elif"); first = false {
		s.tokens = s.tokens[1:]
		met := s.list(do && !done) == 0
		s.expect("then")
		take := do && !done && met
		if r := s.list(take); take {
			status, done = r, true
		}
	}
	if s.word("else") {
		s.tokens = s.tokens[1:]
		if r := s.list(do && !done); do && !done {
			status = r
		}
	}
	s.expect("fi")
	return status
}

// expand returns a word with the values of its variables.
func (s *script) expand(t token) string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.literal {
			b.WriteString(p.text)
			continue
		}
		rest := p.text
		for {
			before, after, found := strings.Cut(rest, "$")
			b.WriteString(before)
			if !found {
				break
			}
			name, end := after, ""
			if inner, ok := strings.CutPrefix(after, "{"); ok {
				name, end, found = strings.Cut(inner, "}")
			} else {
				end = strings.TrimLeftFunc(after, isNameLetter)
				name = after[:len(after)-len(end)]
			}
			value, known := s.vars[name]
			if !found || !known {
				panic(syntaxError(fmt.Sprintf("unknown variable $%s", name)))
			}
			b.WriteString(value)
			rest = end
		}
	}
	return b.String()
}

func isNameLetter(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

func isName(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') && strings.TrimLeftFunc(s, isNameLetter) == ""
}

// tokenize splits a line into words and operators.
func tokenize(line string) ([]token, error) {
	var all []token
	for rest := strings.TrimLeft(line, " \t"); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		switch {
		case strings.HasPrefix(rest, "&&"), strings.HasPrefix(rest, "||"):
			all, rest = append(all, token{text: rest[:2], op: true}), rest[2:]
		case rest[0] == ';' || rest[0] == '\n':
			all, rest = append(all, token{text: ";", op: true}), strings.TrimLeft(rest[1:], " \t\n")
		case rest[0] == '#':
			_, rest, _ = strings.Cut(rest, "\n")
		case strings.ContainsRune("&|<>()`", rune(rest[0])):
			return nil, syntaxError(fmt.Sprintf("%q is not supported", rest[:1]))
		default:
			t, after, err := readWord(rest)
			if err != nil {
				return nil, err
			}
			all, rest = append(all, t), after
		}
	}
	return all, nil
}

// readWord reads a word from the start of a line.
func readWord(line string) (t token, rest string, err error) {
	add := func(text string, literal bool) {
		if n := len(t.parts); n > 0 && t.parts[n-1].literal == literal {
			t.parts[n-1].text += text
		} else {
			t.parts = append(t.parts, part{text, literal})
		}
		t.text += text
	}
	for line != "" {
		switch c := line[0]; {
		case strings.IndexByte(" \t\n;&|<>()`", c) >= 0:
			if strings.IndexByte("<>()`", c) >= 0 {
				return t, "", syntaxError(fmt.Sprintf("%q is not supported", string(c)))
			}
			return t, line, nil
		case c == '\'':
			inner, after, found := strings.Cut(line[1:], "'")
			if !found {
				return t, "", syntaxError("unterminated quote")
			}
			add(inner, true)
			line = after
		case c == '"':
			if line, err = readQuoted(line[1:], add); err != nil {
				return t, "", err
			}
		case c == '\\' && len(line) > 1:
			add(line[1:2], true)
			line = line[2:]
		case c == '$' && strings.HasPrefix(line, "$("):
			return t, "", syntaxError(`"$(" is not supported`)
		default:
			add(line[:1], false)
			line = line[1:]
		}
	}
	return t, "", nil
}

// readQuoted reads a text in double quotes, and returns the rest of the line.
func readQuoted(line string, add func(text string, literal bool)) (rest string, err error) {
	add("", true)
	for line != "" {
		switch {
		case line[0] == '"':
			add("", true)
			return line[1:], nil
		case line[0] == '\\' && len(line) > 1:
			add(line[1:2], true)
			line = line[2:]
		case line[0] == '`' || strings.HasPrefix(line, "$("):
			return "", syntaxError(fmt.Sprintf("%q is not supported", line[:1]))
		default:
			add(line[:1], line[0] != '$' && !isNameLetter(rune(line[0])) && line[0] != '{' && line[0] != '}')
			line = line[1:]
		}
	}
	return "", syntaxError("unterminated quote")
}
