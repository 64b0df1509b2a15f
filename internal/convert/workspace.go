package convert

import (
	"errors"
	"fmt"
	"io/fs"
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
	dir, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, fmt.Errorf("make a directory to work in: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &workspace{dir: dir, lock: lock}, nil
}

// lockDir takes a lock that ends with the process, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
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

// publish gives what is finished its final name: the staging directory first,
// the image last, so that an image never stands without its staging directory.
func publish(image, output, staged, staging string) error {
	for _, path := range []string{image, staged} {
		if err := syncTree(path); err != nil {
			return err
		}
	}
	if err := os.Rename(staged, staging); err != nil {
		return fmt.Errorf("put staging directory in place: %w", err)
	}
	if err := os.Rename(image, output); err != nil {
		return errors.Join(fmt.Errorf("put image in place: %w", err), os.RemoveAll(staging))
	}
	return errors.Join(syncFile(filepath.Dir(output)), syncFile(filepath.Dir(staging)))
}

// syncTree makes a file, or a directory and the files in it, survive a power cut.
func syncTree(path string) error {
	return filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncFile(path)
	})
}

// syncFile makes one file or the names in one directory survive a power cut.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
