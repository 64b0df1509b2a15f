package guestfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// session is a guestfish that listens for requests.
type session struct {
	program string
	pid     string
	dir     string // for data on its way
	env     []string
	mu      sync.Mutex // one request at a time
}

// listening is how guestfish says that it listens.
var listening = regexp.MustCompile(`GUESTFISH_PID=(\d+)`)

// start mounts the file system that fills an image, writable or not.
func start(ctx context.Context, image string, writable bool, options string) (*session, error) {
	program, err := exec.LookPath("guestfish")
	if err != nil {
		return nil, fmt.Errorf("%w: guestfish, for xfs and btrfs; install the package libguestfs-tools", rootfs.ErrProgram)
	}
	image, err = filepath.Abs(image)
	if err != nil {
		return nil, err
	}
	s, err := launch(ctx, program, image, writable, nil)
	if err != nil && ctx.Err() == nil && os.Getenv("LIBGUESTFS_BACKEND_SETTINGS") == "" {
		// Some machines have a KVM that does not work.
		s, err = launch(ctx, program, image, writable, []string{"LIBGUESTFS_BACKEND_SETTINGS=force_tcg"})
	}
	if err != nil {
		return nil, err
	}
	if !writable {
		options = strings.TrimPrefix(options+",ro", ",")
	}
	if _, err := s.do(ctx, "mount-options", options, "/dev/sda", "/"); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// launch starts guestfish and its virtual machine.
func launch(ctx context.Context, program, image string, writable bool, env []string) (*session, error) {
	dir, err := os.MkdirTemp("", "snpguard-guestfs-")
	if err != nil {
		return nil, err
	}
	mode := "--ro"
	if writable {
		mode = "--rw"
	}
	s := &session{program: program, dir: dir, env: append(append(os.Environ(), "LIBGUESTFS_BACKEND=direct", "LC_ALL=C"), env...)}
	// guestfish reads options from arguments that begin with a dash; an absolute path does not.
	out, err := s.run(ctx, "--listen", mode, "--format=raw", "-a", image)
	if err == nil {
		found := listening.FindSubmatch(out)
		if found == nil {
			err = fmt.Errorf("guestfish --listen printed %.200q", out)
		} else {
			s.pid = string(found[1])
			_, err = s.do(ctx, "run")
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// do sends a request and returns what it printed. Without the dash the listener
// would end with the first request that fails; with it only its words tell that
// one did.
func (s *session) do(ctx context.Context, command string, arguments ...string) ([]byte, error) {
	out, err := s.run(ctx, append([]string{"--remote=" + s.pid, "--", "-" + command}, arguments...)...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	return out, nil
}

// run runs guestfish. The listener keeps what it inherits: files, not pipes,
// so that nobody waits for their end. Its words about a request that failed go
// to the stderr that it was started with.
func (s *session) run(ctx context.Context, arguments ...string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	words, err := os.OpenFile(filepath.Join(s.dir, "stderr"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer words.Close()
	before, err := words.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	printed, err := os.CreateTemp(s.dir, "stdout-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(printed.Name()) //nolint:errcheck // stop removes it as well
	defer printed.Close()
	cmd := exec.CommandContext(ctx, s.program, arguments...)
	cmd.Env, cmd.Dir = s.env, s.dir
	cmd.WaitDelay = time.Second
	cmd.Stdout, cmd.Stderr = printed, words
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	said, other := io.ReadAll(io.NewSectionReader(words, before, 4096))
	if err = errors.Join(err, other); err != nil || complains(string(said)) {
		return nil, &guestError{strings.TrimSpace(string(said)), err}
	}
	return os.ReadFile(printed.Name())
}

// complains tells whether guestfish's words are more than warnings.
func complains(words string) bool {
	for line := range strings.Lines(words) {
		if strings.TrimSpace(line) != "" && !strings.Contains(line, "warning:") {
			return true
		}
	}
	return false
}

// stop ends the virtual machine and removes what it left.
func (s *session) stop() error {
	var err error
	if s.pid != "" {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_, err = s.do(ctx, "exit")
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// guestError is what guestfish said and how it ended.
type guestError struct {
	words string
	err   error
}

func (e *guestError) Error() string { return fmt.Sprintf("guestfish says: %.500q", e.words) }
func (e *guestError) Unwrap() error { return e.err }
