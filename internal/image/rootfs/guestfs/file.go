package guestfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// parseStat reads guestfish's "st_name: number" lines.
func parseStat(text string) (*rootfs.Stat, error) {
	fields := map[string]int64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		number, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("guestfish printed %.100q", line)
		}
		fields[name] = number
	}
	at := func(name string) time.Time { return time.Unix(fields[name+"_sec"], fields[name+"_nsec"]) }
	device := uint64(fields["st_rdev"])
	return &rootfs.Stat{
		Inode: uint64(fields["st_ino"]), Mode: uint32(fields["st_mode"]), UID: uint32(fields["st_uid"]), GID: uint32(fields["st_gid"]),
		Links: uint32(fields["st_nlink"]), Size: fields["st_size"], Blocks: fields["st_blocks"],
		Atime: at("st_atime"), Mtime: at("st_mtime"), Ctime: at("st_ctime"),
		// As the C library packs them.
		Major: uint32(device>>8&0xFFF | device>>32&^uint64(0xFFF)), Minor: uint32(device&0xFF | device>>12&^uint64(0xFF)),
	}, nil
}

// entries describes the names in a directory, which end in NUL each.
func (f *FS) entries(dir string, names []byte) ([]fs.DirEntry, error) {
	var list []fs.DirEntry
	sorted := strings.Split(string(names), "\x00")
	slices.Sort(sorted)
	for _, name := range sorted {
		if name == "" {
			continue
		}
		found, err := f.Lstat(path.Join(dir, name))
		if err != nil {
			return nil, err
		}
		list = append(list, fs.FileInfoToDirEntry(found))
	}
	return list, nil
}

// file is an open file or directory.
type file struct {
	fs   *FS
	name string
	info fs.FileInfo
	data *os.File // nil unless it is a regular file
	left []fs.DirEntry
	read bool // whether left was filled
}

func (o *file) Stat() (fs.FileInfo, error) { return o.info, nil }

func (o *file) Read(p []byte) (int, error) {
	if o.data == nil {
		return 0, &fs.PathError{Op: "read", Path: o.name, Err: errors.New("not a regular file")}
	}
	return o.data.Read(p)
}

func (o *file) Close() error {
	if o.data == nil {
		return nil
	}
	return errors.Join(o.data.Close(), os.Remove(o.data.Name()))
}

func (o *file) ReadDir(n int) ([]fs.DirEntry, error) {
	if !o.read {
		list, err := o.fs.ReadDir(o.name)
		if err != nil {
			return nil, err
		}
		o.left, o.read = list, true
	}
	if n > 0 && len(o.left) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(o.left) {
		n = len(o.left)
	}
	list := o.left[:n]
	o.left = o.left[n:]
	return list, nil
}
