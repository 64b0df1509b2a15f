package launch

import "strings"

// Shell returns a command as a person types it: quoted for a POSIX shell, with an
// option and its value on each line.
func Shell(program string, args []string) string {
	var b strings.Builder
	b.WriteString(quote(program))
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") {
			b.WriteString(" \\\n ")
		}
		b.WriteString(" " + quote(arg))
	}
	return b.String() + "\n"
}

// quote puts words into single quotes where a shell would read more into them.
func quote(word string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:=,+@%"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
