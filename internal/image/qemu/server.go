package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/nbd"
)

// served is an image that qemu-nbd has open.
type served struct {
	*nbd.Conn
	server *server
}

// openServed starts qemu-nbd on an image.
func openServed(ctx context.Context, source *Source, a access) (*served, error) {
	if err := check(ctx, source); err != nil {
		return nil, err
	}
	s, err := serve(ctx, source, a)
	if err != nil {
		return nil, err
	}
	conn, err := s.dial(ctx)
	if err != nil {
		s.stop()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("open image %s: %w", source.Path, ctx.Err())
		}
		if words := s.words.String(); words != "" && !errors.Is(err, nbd.ErrProtocol) {
			return nil, fmt.Errorf("%w %s: qemu-nbd: %s", ErrImage, source.Path, words) // that nobody listens follows from it
		}
		return nil, fmt.Errorf("%w %s: qemu-nbd: %s: %w", ErrImage, source.Path, s.words, err)
	}
	d := &served{conn, s}
	// The connection does not need the socket's name any more, and a program that
	// is killed leaves nothing behind.
	if err := os.RemoveAll(s.dir); err != nil {
		return nil, errors.Join(fmt.Errorf("remove directory of socket: %w", err), d.Close())
	}
	return d, nil
}

// Close ends qemu-nbd and removes its directory.
func (d *served) Close() error {
	err := d.Conn.Close()
	d.server.stop()
	return errors.Join(err, os.RemoveAll(d.server.dir))
}

// node describes an image to QEMU with nothing left for the image to say.
func (s *Source) node(a access) map[string]any {
	n := map[string]any{
		"driver":    s.Format,
		"read-only": a == readOnly,
		"file":      map[string]any{"driver": "file", "filename": s.Path, "locking": "auto"},
	}
	switch {
	case s.Backing != nil:
		n["backing"] = s.Backing.node(readOnly)
	case s.Format == QCOW2 || s.Format == VMDK:
		n["backing"] = nil
	}
	return n
}

// name is what QEMU's tools take in place of a file's name.
func (s *Source) name(a access) (string, error) {
	b, err := json.Marshal(s.node(a))
	if err != nil {
		return "", fmt.Errorf("describe image: %w", err)
	}
	return "json:" + string(b), nil
}

// server is a qemu-nbd process and its directory.
type server struct {
	dir, socket string
	words       *words
	cancel      context.CancelFunc
	ended       chan struct{} // closed when the process is gone and the directory with it
}

func serve(ctx context.Context, source *Source, a access) (*server, error) {
	name, err := source.name(a)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "snpguard-nbd-") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("make directory of socket: %w", err)
	}
	s := &server{dir: dir, socket: filepath.Join(dir, "s"), ended: make(chan struct{})}
	ctx, s.cancel = context.WithCancel(ctx)
	args := []string{"--shared=1", "--export-name=", "--socket=" + s.socket}
	if a == readOnly {
		args = append(args, "--read-only")
	} else {
		args = append(args, "--discard=unmap") // zeros take no room
	}
	cmd, words, err := program(ctx, "qemu-nbd", append(args, name)...)
	if err == nil {
		s.words = words
		err = s.start(cmd)
	}
	if err != nil {
		s.cancel()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// start runs the process on a thread that stays until it has ended: endWithParent
// goes by the thread.
func (s *server) start(cmd *exec.Cmd) error {
	endWithParent(cmd)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		defer close(s.ended)
		// How it ended says nothing that the connection has not said.
		_ = cmd.Wait()
		_ = os.RemoveAll(s.dir)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start qemu-nbd: %w", err)
	}
	return nil
}

// stop ends the process and waits for it.
func (s *server) stop() {
	s.cancel()
	<-s.ended
}

// dial connects as soon as qemu-nbd listens, unless it ends first.
func (s *server) dial(ctx context.Context) (*nbd.Conn, error) {
	for {
		conn, err := nbd.Dial(ctx, s.socket, "")
		if err == nil || errors.Is(err, nbd.ErrProtocol) {
			return conn, err
		}
		select {
		case <-s.ended: // as it does with the context
			return nil, err
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// check lets qemu-img look at the tables of a vmdk, which Probe does not walk
// itself.
func check(ctx context.Context, source *Source) error {
	if source.Format != VMDK {
		return nil
	}
	name, err := source.name(readOnly)
	if err != nil {
		return err
	}
	cmd, words, err := program(ctx, "qemu-img", "check", "-q", name)
	if err != nil {
		return err
	}
	err = run(ctx, cmd)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("%w %s: qemu-img check: %s: %w", ErrImage, source.Path, words, err)
	}
	if err != nil {
		return fmt.Errorf("check image: %w", err)
	}
	return nil
}
