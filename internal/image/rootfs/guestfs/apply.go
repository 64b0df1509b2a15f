package guestfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// Apply makes changes to the file system that fills a raw image. The mount
// options are those of Open. Values of extended attributes that hold a NUL
// before their end cannot be set. After an error the file system is changed in
// part: work on a copy.
func Apply(ctx context.Context, image, options string, changes []rootfs.Change) error {
	s, err := start(ctx, image, true, options)
	if err != nil {
		return fmt.Errorf("mount %s: %w", image, err)
	}
	for i := range changes {
		if err = s.apply(ctx, &changes[i]); err != nil {
			err = fmt.Errorf("change %s: %w", changes[i].Path, err)
			break
		}
	}
	if err == nil {
		_, err = s.do(ctx, "umount-all")
	}
	if err == nil {
		_, err = s.do(ctx, "shutdown") // reports what could not be written
	}
	return errors.Join(err, s.stop())
}

// apply makes one change.
func (s *session) apply(ctx context.Context, c *rootfs.Change) error {
	at := "/" + strings.TrimPrefix(c.Path, "/")
	if at == "/" || path.Clean(at) != at || strings.Contains(at+c.Target, "\x00") {
		return fmt.Errorf("%w: path %q", rootfs.ErrChange, c.Path)
	}
	if c.Kind == rootfs.Remove {
		_, err := s.do(ctx, "rm-rf", at)
		return err
	}
	if _, err := s.do(ctx, "mkdir-p", path.Dir(at)); err != nil {
		return err
	}
	if c.Kind == rootfs.MakeDir {
		out, err := s.do(ctx, "is-dir", at, "followsymlinks:true")
		if err != nil || bytes.Equal(bytes.TrimSpace(out), []byte("true")) {
			return err
		}
	} else if _, err := s.do(ctx, "rm-f", at); err != nil {
		return err
	}
	if err := s.create(ctx, at, c); err != nil || c.Kind == rootfs.HardLink {
		return err
	}
	return s.attributes(ctx, at, c)
}

// create makes the file itself.
func (s *session) create(ctx context.Context, at string, c *rootfs.Change) error {
	var err error
	switch c.Kind {
	case rootfs.WriteFile:
		err = s.upload(ctx, at, c)
	case rootfs.MakeDir:
		_, err = s.do(ctx, "mkdir", at)
	case rootfs.Symlink:
		_, err = s.do(ctx, "ln-s", c.Target, at)
	case rootfs.HardLink:
		_, err = s.do(ctx, "ln", guestPath(c.Target), at)
	case rootfs.MakeNode:
		_, err = s.do(ctx, "mknod", fmt.Sprint(c.Mode), fmt.Sprint(c.Major), fmt.Sprint(c.Minor), at)
	default:
		err = fmt.Errorf("%w: kind %d", rootfs.ErrChange, c.Kind)
	}
	if err != nil && strings.Contains(err.Error(), "No space left") {
		return fmt.Errorf("%w: %w", rootfs.ErrFull, err)
	}
	return err
}

// upload copies a new file's data.
func (s *session) upload(ctx context.Context, at string, c *rootfs.Change) error {
	source := filepath.Join(s.dir, "upload")
	switch {
	case c.Open != nil:
		in, err := c.Open()
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.Create(source)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	case c.Source != "":
		var err error
		if source, err = filepath.Abs(c.Source); err != nil {
			return err
		}
	default:
		if err := os.WriteFile(source, c.Content, 0o600); err != nil {
			return err
		}
	}
	_, err := s.do(ctx, "upload", source, at)
	return err
}

// attributes sets owner, mode, extended attributes and times. Symbolic links
// keep the time at which they were made.
func (s *session) attributes(ctx context.Context, at string, c *rootfs.Change) error {
	requests := [][]string{{"lchown", fmt.Sprint(c.UID), fmt.Sprint(c.GID), at}}
	if c.Kind != rootfs.Symlink {
		requests = append(requests, []string{"chmod", fmt.Sprintf("0%o", c.Mode&0o7777), at})
	}
	for name, value := range c.Xattrs {
		text := strings.TrimSuffix(string(value), "\x00")
		if strings.Contains(text, "\x00") || strings.Contains(name, "\x00") {
			return fmt.Errorf("%w: value of extended attribute %q", rootfs.ErrChange, name)
		}
		requests = append(requests, []string{"lsetxattr", name, text, fmt.Sprint(len(text)), at})
	}
	if c.Kind != rootfs.Symlink {
		modified := c.ModTime
		if modified.IsZero() {
			modified = time.Now()
		}
		seconds, nanoseconds := fmt.Sprint(modified.Unix()), fmt.Sprint(modified.Nanosecond())
		requests = append(requests, []string{"utimens", at, seconds, nanoseconds, seconds, nanoseconds})
	}
	for _, r := range requests {
		if _, err := s.do(ctx, r[0], r[1:]...); err != nil {
			return err
		}
	}
	return nil
}
