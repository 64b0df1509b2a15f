package e2fsprogs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
)

// verify holds the file system against what was planned.
func (p *plan) verify(volume *ext4.FS) error {
	for _, at := range slices.Sorted(maps.Keys(p.changed)) {
		if err := p.verifyNode(volume, at, p.changed[at]); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}

func (p *plan) verifyNode(volume *ext4.FS, at string, want *node) error {
	found, err := volume.Lstat(relative(at))
	if want.mode == 0 {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return nil
		}
		return fmt.Errorf("it was not removed (%v)", err) //nolint:errorlint // there may be none
	}
	if err != nil {
		return err
	}
	stat := found.Sys().(*rootfs.Stat)
	if stat.Mode != want.mode {
		return fmt.Errorf("its mode is %#o, not %#o", stat.Mode, want.mode)
	}
	if !want.is(rootfs.ModeDir) && int(stat.Links) != want.file.count {
		return fmt.Errorf("it has %d links, not %d", stat.Links, want.file.count)
	}
	if want.made == nil {
		return nil
	}
	if err := verifyStat(stat, want.made, volume.FineTimes()); err != nil {
		return err
	}
	if err := verifyXattrs(volume, at, want.made.Xattrs); err != nil {
		return err
	}
	return p.verifyContent(volume, at, want)
}

func verifyStat(stat *rootfs.Stat, want *rootfs.Change, fine bool) error {
	if stat.UID != want.UID || stat.GID != want.GID {
		return fmt.Errorf("its owner is %d:%d, not %d:%d", stat.UID, stat.GID, want.UID, want.GID)
	}
	modified := want.ModTime
	if !fine {
		modified = time.Unix(modified.Unix(), 0)
	}
	if !stat.Mtime.Equal(modified) {
		return fmt.Errorf("its time is %s, not %s", stat.Mtime, modified)
	}
	if want.Kind == rootfs.MakeNode && want.Mode&rootfs.ModeType != rootfs.ModeFIFO && (stat.Major != want.Major || stat.Minor != want.Minor) {
		return fmt.Errorf("it is device %d:%d, not %d:%d", stat.Major, stat.Minor, want.Major, want.Minor)
	}
	return nil
}

func verifyXattrs(volume *ext4.FS, at string, want map[string][]byte) error {
	found, err := volume.Xattrs(relative(at))
	if err != nil {
		return err
	}
	if !maps.EqualFunc(found, want, bytes.Equal) {
		return errors.New("its extended attributes are not those asked for")
	}
	return nil
}

func (p *plan) verifyContent(volume *ext4.FS, at string, want *node) error {
	switch {
	case want.is(rootfs.ModeSymlink):
		if target, err := volume.ReadLink(relative(at)); err != nil || target != want.target {
			return fmt.Errorf("its target is %q, not %q (%v)", target, want.target, err) //nolint:errorlint // there may be none
		}
	case want.is(rootfs.ModeRegular):
		source, err := os.Open(p.spool.path(want.source))
		if err != nil {
			return err
		}
		defer source.Close()
		found, err := volume.Open(relative(at))
		if err != nil {
			return err
		}
		return sameData(found, source)
	}
	return nil
}

// sameData compares what two readers give.
func sameData(a, b io.Reader) error {
	left, right := make([]byte, 128<<10), make([]byte, 128<<10)
	for {
		n, ended, err := readFull(a, left)
		if err != nil {
			return err
		}
		m, _, err := readFull(b, right)
		if err != nil {
			return err
		}
		if !bytes.Equal(left[:n], right[:m]) {
			return errors.New("its data is not what was written")
		}
		if ended {
			return nil
		}
	}
}

// readFull fills a buffer unless the data ends before that.
func readFull(r io.Reader, p []byte) (n int, ended bool, err error) {
	n, err = io.ReadFull(r, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, true, nil
	}
	return n, false, err
}
