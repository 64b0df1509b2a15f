package bootentry

import (
	"fmt"
	"strings"
)

// piece is part of a word: text, or a variable to be expanded.
type piece struct {
	text     string
	variable bool
	quoted   bool
}

// word is one word of a command; it may be empty where it was quoted.
type word []piece

// token is a word or an operator: "\n" (also for ";"), "{" or "}".
type token struct {
	operator string
	word     word
}

// plain returns a word's text if it has neither quotes nor variables: keywords
// are only such words.
func (w word) plain() string {
	if len(w) == 1 && !w[0].variable && !w[0].quoted {
		return w[0].text
	}
	return ""
}

// lexer splits a script of GRUB into tokens.
type lexer struct {
	in     string
	at     int
	word   word
	piece  []byte // of text, the last one of word, while it grows
	quoted bool   // that piece is
	open   bool   // there is one
	any    bool   // a word has begun
	out    []token
}

func tokenize(script string) ([]token, error) {
	l := &lexer{in: script}
	for l.at < len(l.in) {
		if err := l.step(); err != nil {
			return nil, err
		}
	}
	l.end()
	return append(l.out, token{operator: "\n"}), nil
}

func (l *lexer) step() error {
	c := l.in[l.at]
	switch {
	case c == '\n' || c == ';':
		l.operator("\n")
	case c == ' ' || c == '\t' || c == '\r':
		l.end()
		l.at++
	case (c == '{' || c == '}') && !l.any:
		l.operator(string(c))
	case c == '#' && !l.any:
		l.comment()
	case c == '\\':
		l.escape()
	case c == '\'':
		return l.single()
	case c == '"':
		return l.double()
	case c == '$':
		l.variable(false)
	default:
		l.text(l.in[l.at:l.at+1], false)
		l.at++
	}
	return nil
}

// comment skips to the end of the line.
func (l *lexer) comment() {
	length := strings.IndexByte(l.in[l.at:], '\n')
	if length < 0 {
		length = len(l.in) - l.at
	}
	l.at += length
}

func (l *lexer) operator(o string) {
	l.end()
	l.at++
	l.out = append(l.out, token{operator: o})
}

// end finishes the present word.
func (l *lexer) end() {
	l.flush()
	if l.any {
		l.out = append(l.out, token{word: l.word})
	}
	l.word, l.any = nil, false
}

func (l *lexer) text(s string, quoted bool) {
	l.any = true
	if !l.open || l.quoted != quoted {
		l.flush()
		l.open, l.quoted = true, quoted
	}
	l.piece = append(l.piece, s...)
}

// flush ends the present piece of text.
func (l *lexer) flush() {
	if l.open {
		l.word = append(l.word, piece{text: string(l.piece), quoted: l.quoted})
	}
	l.piece, l.open = l.piece[:0], false
}

// escape takes the next character as it is; a line's end continues the line.
func (l *lexer) escape() {
	if l.at+1 >= len(l.in) {
		l.at++
		return
	}
	if next := l.in[l.at+1]; next != '\n' {
		l.text(l.in[l.at+1:l.at+2], true)
	}
	l.at += 2
}

func (l *lexer) single() error {
	content, _, ok := strings.Cut(l.in[l.at+1:], "'")
	if !ok {
		return fmt.Errorf("%w: a quote has no end", ErrMalformed)
	}
	l.text(content, true)
	l.at += len(content) + 2
	return nil
}

func (l *lexer) double() error {
	l.text("", true)
	for l.at++; l.at < len(l.in); {
		switch c := l.in[l.at]; {
		case c == '"':
			l.at++
			return nil
		case c == '\\' && l.at+1 < len(l.in) && strings.ContainsRune("$\"\\\n", rune(l.in[l.at+1])):
			if l.in[l.at+1] != '\n' {
				l.text(l.in[l.at+1:l.at+2], true)
			}
			l.at += 2
		case c == '$':
			l.variable(true)
		default:
			l.text(l.in[l.at:l.at+1], true)
			l.at++
		}
	}
	return fmt.Errorf("%w: a quote has no end", ErrMalformed)
}

// variable reads $name, ${name} or $?. A dollar sign before anything else is
// itself.
func (l *lexer) variable(quoted bool) {
	rest := l.in[l.at+1:]
	name, size := "", 0
	if inner, ok := strings.CutPrefix(rest, "{"); ok {
		if end := strings.IndexByte(inner[:min(len(inner), maxVariable)], '}'); end >= 0 {
			name, size = inner[:end], end+2
		}
	} else if strings.HasPrefix(rest, "?") {
		name, size = "?", 1
	} else {
		size = len(rest) - len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"))
		name = rest[:size]
	}
	l.at += 1 + size
	if name == "" {
		l.text("$", quoted)
		return
	}
	l.any = true
	l.flush()
	l.word = append(l.word, piece{text: name, variable: true, quoted: quoted})
}
