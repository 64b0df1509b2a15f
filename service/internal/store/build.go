package store

import (
	"strconv"
	"strings"
)

// builder puts a statement together whose shape depends on its arguments.
type builder struct {
	text strings.Builder
	args []any
}

// add appends text in which each ? stands for the next argument.
func (b *builder) add(text string, args ...any) {
	for _, c := range text {
		if c != '?' {
			b.text.WriteRune(c)
			continue
		}
		b.args = append(b.args, args[0])
		args = args[1:]
		b.text.WriteByte('$')
		b.text.WriteString(strconv.Itoa(len(b.args)))
	}
}

// list appends a parenthesised list of arguments.
func (b *builder) list(args []any) {
	b.add("("+strings.TrimSuffix(strings.Repeat("?, ", len(args)), ", ")+")", args...)
}

// rows appends rows of values.
func (b *builder) rows(rows [][]any) {
	for i, row := range rows {
		if i > 0 {
			b.add(", ")
		}
		b.list(row)
	}
}

func (b *builder) query() query { return query{b.text.String(), b.args} }

// runs cuts items into runs of a few fixed lengths, so that the statements made
// for them have few shapes, and databases can keep them prepared.
func runs[T any](items []T) [][]T {
	var all [][]T
	for _, length := range []int{64, 16, 4, 1} {
		for len(items) >= length {
			all, items = append(all, items[:length]), items[length:]
		}
	}
	return all
}
