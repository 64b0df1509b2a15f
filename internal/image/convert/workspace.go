package convert

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// workspace is a directory beside the output, on the same file system, in which
// a conversion works. Nothing gets its final name before everything is done; the
// directory is gone afterwards, and what a killed conversion has left goes with
// the next one.
type workspace struct {
	dir  string
	lock *os.File
}

// openWorkspace makes a workspace for an output and removes abandoned ones.
func openWorkspace(output string) (*workspace, error) {
	parent := filepath.Dir(output)
	prefix := "." + filepath.Base(output) + ".snpguard-"
	if err := removeAbandoned(parent, prefix); err != nil {
		return nil, err
	}
	for {
		dir, err := os.MkdirTemp(parent, prefix+"*")
		if err != nil {
			return nil, fmt.Errorf("make a directory to work in: %w", err)
		}
		lock, err := lockDir(dir)
		if err == nil {
			return &workspace{dir: dir, lock: lock}, nil
		}
		// Another conversion may have taken it for abandoned before it was locked.
		if !errors.Is(err, errLocked) && !errors.Is(err, os.ErrNotExist) {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
}

// errLocked is a directory that another conversion works in.
var errLocked = errors.New("another conversion is at work there: wait for its end, or choose another directory")

// lockDir takes a lock that ends with the process, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	if err == nil {
		_, err = os.Stat(dir) // it may have been removed before it was locked
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

// removeAbandoned removes workspaces that nobody holds a lock on.
func removeAbandoned(parent, prefix string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		path := filepath.Join(parent, e.Name())
		lock, err := lockDir(path)
		if err != nil {
			continue // another conversion is at work there, or has just ended
		}
		err = os.RemoveAll(path)
		lock.Close()
		if err != nil {
			return fmt.Errorf("remove what an earlier conversion left: %w", err)
		}
	}
	return nil
}

// path names a file in the workspace.
func (w *workspace) path(name string) string { return filepath.Join(w.dir, name) }

// keep leaves the workspace as it is and returns its directory. The next
// conversion to the same output removes it.
func (w *workspace) keep() string {
	w.lock.Close()
	return w.dir
}

// close removes the workspace.
func (w *workspace) close() error {
	defer w.lock.Close()
	if err := os.RemoveAll(w.dir); err != nil {
		return fmt.Errorf("remove working files, please do so by hand: %w", err)
	}
	return nil
}
