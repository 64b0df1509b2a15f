// Package input reads files that people name.
package input

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Open opens a file that somebody names: a regular file, or a pipe
// that something writes into, such as a shell's <(...). Devices and directories
// are refused: they are never what was meant, and /dev/zero has no end. Opening a
// named pipe that nobody writes into does not wait.
func Open(path string) (io.ReadCloser, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return f, nil
	case mode&os.ModeNamedPipe != 0:
		return &pipe{File: f}, nil
	}
	f.Close()
	return nil, fmt.Errorf("open %s: it is a device or directory, want a file", path)
}

// pipe is a pipe that has to give something: an empty one has no writer, which
// must not pass for an empty file.
type pipe struct {
	*os.File
	gave bool
}

// errNoWriter is a pipe that gives nothing.
var errNoWriter = errors.New("nothing writes into this pipe")

// Read implements io.Reader.
func (p *pipe) Read(b []byte) (int, error) {
	n, err := p.File.Read(b)
	p.gave = p.gave || n > 0
	if errors.Is(err, io.EOF) && !p.gave {
		return 0, errNoWriter
	}
	return n, err
}

// Bounded reads at most limit bytes of a file. Callers that give one byte
// more than they take see that a file is too large.
func Bounded(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

// Whole reads a file and refuses one of more than limit bytes.
func Whole(path string, limit int64) ([]byte, error) {
	data, err := Bounded(path, limit+1)
	if err == nil && int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s: it has more than %d bytes", path, limit)
	}
	return data, err
}
