package embed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs/debugfs"
)

// features are those of the file system, whatever mke2fs.conf says. There is no
// journal: nobody writes it while it is mounted.
const features = "none,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum"

// makeFilesystem makes the file system of the tree in a file.
func (e *embedding) makeFilesystem(ctx context.Context, size int64) (*os.File, error) {
	if err := os.Symlink(e.slot, filepath.Join(e.tree, link)); err != nil {
		return nil, err
	}
	count, err := tidy(e.tree)
	if err != nil {
		return nil, err
	}
	program, err := debugfs.Program("mke2fs")
	if err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(e.work, "image"))
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "-q", "-F", "-t", "ext4", "-O", features, "-L", Label, "-m", "0",
		"-b", fmt.Sprint(block), "-I", "256", "-N", fmt.Sprint(2*count+64), "-E", "root_owner=0:0,lazy_itable_init=0,nodiscard",
		"-d", e.tree, f.Name())
	cmd.Env = []string{"LC_ALL=C", "MKE2FS_CONFIG=" + os.DevNull}
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.Close()
		if strings.Contains(string(out), "Could not allocate") {
			return nil, fmt.Errorf("%w of %d MiB: mke2fs: %.200q", ErrTooLarge, size>>20, out)
		}
		return nil, fmt.Errorf("make file system: mke2fs: %.500q: %w", out, errors.Join(err, ctx.Err()))
	}
	return f, nil
}

// tidy gives the files of a tree the modes that they are to have and counts them.
func tidy(tree string) (count int, err error) {
	err = filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		count++
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(path, 0o755)
		case d.Type().IsRegular():
			return os.Chmod(path, 0o644)
		}
		return nil
	})
	return count, err
}
