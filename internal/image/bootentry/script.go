package bootentry

import "fmt"

// statement is a command, or a compound of others.
type statement struct {
	words   []word
	block   []statement // in braces: of menuentry, submenu, function
	clauses []clause    // of if, in order; the condition of else is nil
	loop    bool        // it stands for a loop, which is not run
}

// clause is a condition and what it guards.
type clause struct {
	condition []statement
	body      []statement
}

// parser turns tokens into statements.
type parser struct {
	tokens []token
	at     int // the next one
	depth  int
}

func parse(script string) ([]statement, error) {
	tokens, err := tokenize(script)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	all, _, err := p.list("")
	return all, err
}

func (p *parser) next() (t token, ok bool) {
	if p.at == len(p.tokens) {
		return token{}, false
	}
	p.at++
	return p.tokens[p.at-1], true
}

// list reads statements up to one of the given keywords, or to the end of the
// script where there is none, and returns which it was.
func (p *parser) list(ends ...string) (all []statement, end string, err error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return nil, "", fmt.Errorf("%w: nested more than %d deep", ErrMalformed, maxDepth)
	}
	for {
		t, ok := p.next()
		if !ok {
			if ends[0] != "" {
				return nil, "", fmt.Errorf("%w: %q is missing", ErrMalformed, ends[0])
			}
			return all, "", nil
		}
		key := t.operator
		if key == "" {
			key = t.word.plain()
		}
		switch {
		case key == "\n":
			continue
		case isEnd(key, ends):
			return all, key, nil
		case isReserved(key):
			return nil, "", fmt.Errorf("%w: %q has no beginning", ErrMalformed, key)
		}
		s, err := p.statement(t)
		if err != nil {
			return nil, "", err
		}
		all = append(all, s)
	}
}

func isEnd(key string, ends []string) bool {
	for _, e := range ends {
		if e != "" && e == key {
			return true
		}
	}
	return false
}

// isReserved says whether a word ends a compound.
func isReserved(key string) bool {
	switch key {
	case "}", "then", "elif", "else", "fi", "do", "done":
		return true
	}
	return false
}

// statement reads the command that begins with t.
func (p *parser) statement(t token) (statement, error) {
	switch t.word.plain() {
	case "if":
		return p.conditional()
	case "for", "while", "until":
		return p.loop()
	}
	var s statement
	if t.operator == "{" {
		block, _, err := p.list("}")
		return statement{block: block}, err
	}
	for s.words = []word{t.word}; ; {
		t, ok := p.next()
		if !ok || t.operator == "\n" {
			return s, nil
		}
		switch t.operator {
		case "{":
			block, _, err := p.list("}")
			s.block = append([]statement{}, block...)
			return s, err
		case "}": // "{ true }" on one line: not ours
			p.at--
			return s, nil
		}
		s.words = append(s.words, t.word)
	}
}

// conditional reads an if behind its first word.
func (p *parser) conditional() (s statement, err error) {
	for {
		var c clause
		if c.condition, _, err = p.list("then"); err != nil {
			return s, err
		}
		var end string
		if c.body, end, err = p.list("fi", "elif", "else"); err != nil {
			return s, err
		}
		s.clauses = append(s.clauses, c)
		switch end {
		case "fi":
			return s, nil
		case "else":
			last := clause{}
			if last.body, _, err = p.list("fi"); err != nil {
				return s, err
			}
			s.clauses = append(s.clauses, last)
			return s, nil
		}
	}
}

// loop skips a loop: menus that grub-mkconfig writes have none, and none is run.
func (p *parser) loop() (statement, error) {
	if _, _, err := p.list("do"); err != nil {
		return statement{}, err
	}
	_, _, err := p.list("done")
	return statement{loop: true}, err
}
