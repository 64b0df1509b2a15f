package bundle

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	diskfile "github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/squashfs"
)

// writeSquashFS makes a SquashFS image in a temporary file, since its header
// comes last, and copies it to w. Unlike the tar formats its bytes differ from
// run to run: it keeps the time at which it was made.
func writeSquashFS(w io.Writer, files []file, modified time.Time) error {
	dir, err := os.MkdirTemp("", "snpguard-bundle-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	image, err := os.Create(filepath.Join(dir, "bundle.squashfs"))
	if err != nil {
		return err
	}
	defer image.Close()
	if err := fillSquashFS(image, files, modified); err != nil {
		return fmt.Errorf("make SquashFS image: %w", err)
	}
	if _, err := image.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(w, image)
	return err
}

func fillSquashFS(image *os.File, files []file, modified time.Time) error {
	fs, err := squashfs.Create(diskfile.New(image, false), 0, 0, 0)
	if err != nil {
		return err
	}
	defer os.RemoveAll(fs.Workspace()) //nolint:errcheck // the library leaves it behind on errors
	for _, f := range files {
		target := filepath.Join(fs.Workspace(), filepath.FromSlash(f.name))
		if err := os.MkdirAll(path.Dir(target), 0o755); err != nil {
			return err
		}
		if err := f.writeFile(target); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
		if err := os.Chtimes(target, modified, modified); err != nil {
			return err
		}
	}
	// Kernel and initrd are compressed already.
	return fs.Finalize(squashfs.FinalizeOptions{NoCompressData: true, NoCompressFragments: true, FileUID: new(uint32), FileGID: new(uint32)})
}

// writeFile copies the file to a path.
func (f file) writeFile(target string) error {
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err := f.copyTo(out); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
