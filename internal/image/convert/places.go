package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// checkOutput takes a name for the image that is free, or a file that may be
// replaced. The source is never that.
func (o *Options) checkOutput() error {
	if o.Output == "" {
		return option.Missingf("out", "where the new image goes")
	}
	info, err := o.checkPlace(o.Output)
	if err != nil || info == nil {
		return option.Wrap("out", err)
	}
	if !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeSymlink {
		return option.Errorf("out", "%s is not a file and cannot be replaced", o.Output)
	}
	if sameFile(o.Output, o.Input) {
		return option.Errorf("out", "%s is the source image itself, which is never written to: choose another name", o.Output)
	}
	return nil
}

// checkStaging takes a name for the staging directory that is free, or what an
// earlier conversion left there: another directory is never removed.
func (o *Options) checkStaging() error {
	if o.Staging == "" {
		return option.Missingf("staging", "the directory for what registration needs")
	}
	info, err := o.checkPlace(o.Staging)
	if err != nil {
		return option.Wrap("staging", err)
	}
	for _, file := range []string{o.Input, o.Output} {
		if file != "" && within(o.Staging, file) {
			return option.Errorf("staging", "%s is inside this directory, which is created anew: choose another one", file)
		}
	}
	if info == nil {
		return nil
	}
	entries, err := os.ReadDir(o.Staging)
	if err != nil {
		return option.Wrap("staging", err)
	}
	if _, err := staging.Read(o.Staging); err != nil && len(entries) > 0 {
		return option.Errorf("staging", "%s is not replaced: %w", o.Staging, err)
	}
	return nil
}

// checkPlace returns what is at a path already, nil for nothing.
func (o *Options) checkPlace(path string) (fs.FileInfo, error) {
	parent := filepath.Dir(path)
	if info, err := os.Stat(parent); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", parent)
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !o.Replace {
		err = fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	return info, err
}

// checkBacking refuses to replace a file that the source builds on.
func (o *Options) checkBacking(source *qemu.Source) error {
	for s := source.Backing; s != nil; s = s.Backing {
		if sameFile(o.Output, s.Path) {
			return option.Errorf("out", "%s is a backing file of the source image: choose another name", o.Output)
		}
		if within(o.Staging, s.Path) {
			return option.Errorf("staging", "%s lies in it, a backing file of the source image: choose another directory", s.Path)
		}
	}
	return nil
}

// sameFile says whether two names lead to one file.
func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// within says whether a file lies in a directory or is that.
func within(dir, file string) bool {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	if file, err = filepath.Abs(file); err != nil {
		return false
	}
	for ; ; file = filepath.Dir(file) {
		if file == dir || sameFile(file, dir) {
			return true
		}
		if file == filepath.Dir(file) {
			return false
		}
	}
}
