package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// publish gives what is finished its final name: the staging directory first,
// the image last, so that an image never stands without its staging directory.
// What is replaced stays until then, and comes back when the image cannot be put
// in place.
func (c *conversion) publish() error {
	if err := syncTrees(c.image(), c.staged()); err != nil {
		return err
	}
	aside := c.stage.path("replaced")
	if c.Replace {
		if err := os.Rename(c.Staging, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replace staging directory: %w", err)
		}
	}
	err := os.Rename(c.staged(), c.Staging)
	if err != nil {
		err = fmt.Errorf("put staging directory in place: %w", err)
	} else if err = putImage(c.image(), c.Output, c.Replace); err != nil {
		err = errors.Join(fmt.Errorf("put image in place: %w", err), os.RemoveAll(c.Staging))
	}
	if err != nil {
		return errors.Join(err, putBack(aside, c.Staging))
	}
	// The names.
	var group errgroup.Group
	for _, path := range []string{c.Output, c.Staging} {
		group.Go(func() error { return syncFile(filepath.Dir(path)) })
	}
	return group.Wait()
}

// putImage moves the image to its final name. One that has come to be there in
// the meantime is not replaced unless that was asked for.
func putImage(image, output string, replace bool) error {
	if replace {
		return os.Rename(image, output)
	}
	err := os.Link(image, output)
	if err == nil {
		return os.Remove(image)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	// The file system has no hard links.
	if _, err := os.Lstat(output); err == nil {
		return &fs.PathError{Op: "create", Path: output, Err: fs.ErrExist}
	}
	return os.Rename(image, output)
}

// putBack restores what was moved aside.
func putBack(aside, path string) error {
	if err := os.Rename(aside, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("restore %s: %w", path, err)
	}
	return nil
}

// syncTrees makes files, and directories with all in them, survive a power cut. They
// wait together for the disk, which has to flush once or twice for all of them.
func syncTrees(paths ...string) error {
	var group errgroup.Group
	for _, path := range paths {
		err := filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				group.Go(func() error { return syncFile(path) })
			}
			return err
		})
		if err != nil {
			return errors.Join(err, group.Wait())
		}
	}
	return group.Wait()
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
