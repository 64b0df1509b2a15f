package e2fsprogs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// maxOutput bounds what is kept of a program's words, in bytes.
const maxOutput = 64 << 10

// Program finds a program of e2fsprogs. Debian keeps them off the path of users
// and Homebrew off everybody's. The error wraps rootfs.ErrProgram and names the
// package.
func Program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/opt/homebrew/opt/e2fsprogs/sbin", "/usr/local/opt/e2fsprogs/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: %s; install the package e2fsprogs", rootfs.ErrProgram, name)
}

// workspace is a private directory beside the image in which programs run, so
// that whoever removes the image's directory removes it as well. Images and
// sources get plain names there, since "?" in a file's name means something to
// the programs.
type workspace struct{ dir string }

// imageName is the image's name in the workspace.
const imageName = "image"

func newWorkspace(image string) (*workspace, error) {
	path, err := filepath.Abs(image)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), "debugfs-")
	if err != nil {
		return nil, err
	}
	w := &workspace{dir}
	if err := os.Symlink(path, w.path(imageName)); err != nil {
		w.remove()
		return nil, err
	}
	return w, nil
}

func (w *workspace) path(name string) string { return filepath.Join(w.dir, name) }

func (w *workspace) remove() { os.RemoveAll(w.dir) } //nolint:errcheck // a temporary directory

// output is what a program said.
type output struct {
	stdout, stderr string
	code           int
}

// run runs a program in the workspace. A code other than 0 is no error.
func (w *workspace) run(ctx context.Context, program string, args ...string) (*output, error) {
	path, err := Program(program)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = w.dir
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "DEBUGFS_PAGER=__none__"}
	cmd.WaitDelay = time.Second
	var stdout, stderr limited
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("run %s: %w", program, context.Cause(ctx))
	}
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 0) {
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
	return &output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}, nil
}

// device is how e2fsprogs are told of the image and the file system's offset.
func device(offset int64) string {
	if offset == 0 {
		return imageName
	}
	return fmt.Sprintf("%s?offset=%d", imageName, offset)
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), maxOutput-l.Len())])
	return len(p), nil
}

// brief is what a program said, in one printable line of moderate length.
func brief(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 1000 {
		text = text[:1000] + " ..."
	}
	return strings.Trim(fmt.Sprintf("%q", text), `"`)
}
