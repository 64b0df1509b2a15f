package qemu

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// maxWords bounds what is kept of a program's error messages, in bytes.
const maxWords = 4096

// program returns a command that has no input and no environment but the
// path, and its words, which may be read when it has ended.
func program(ctx context.Context, name string, args ...string) (*exec.Cmd, *words, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: install qemu-utils (Debian, Ubuntu), qemu-img (Fedora) or qemu (Homebrew)", ErrNoProgram, name)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LC_ALL=C"}
	w := &words{}
	cmd.Stderr = w
	return cmd, w, nil
}

// run runs a program. That the context ended it is the context's error.
func run(ctx context.Context, cmd *exec.Cmd) error {
	if err := cmd.Run(); err == nil || ctx.Err() == nil {
		return err
	}
	return ctx.Err()
}

// words keeps the first bytes that a program writes.
type words struct{ b bytes.Buffer }

// Write takes everything and keeps what there is room for.
func (w *words) Write(p []byte) (int, error) {
	w.b.Write(p[:min(len(p), maxWords-w.b.Len())])
	return len(p), nil
}

// String returns one line of printable text, from the end of the file's name
// on if it is in there.
func (w *words) String() string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(w.b.String(), "?"))
	return strings.TrimSpace(after(text, "}': "))
}

// after returns what follows the last mark, or all.
func after(text, mark string) string {
	if i := strings.LastIndex(text, mark); i >= 0 {
		return text[i+len(mark):]
	}
	return text
}
