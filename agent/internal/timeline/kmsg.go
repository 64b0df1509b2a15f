package timeline

import (
	"fmt"
	"io"
	"os"
)

// Kmsg writes to the kernel's log. Until that can be opened, lines go to the
// fallback, the console.
type Kmsg struct {
	Path     string // "/dev/kmsg"
	Fallback io.Writer
}

// Line opens the log anew for each line: the kernel drops lines of one opening
// when they come faster than two a second.
func (k Kmsg) Line(p Priority, line string) {
	f, err := os.OpenFile(k.Path, os.O_WRONLY, 0)
	if err == nil {
		defer f.Close()
		_, err = fmt.Fprintf(f, "<%d>%s\n", p, line)
	}
	if err != nil {
		fmt.Fprintln(k.Fallback, line)
	}
}
