package boot

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

type fakeKernel struct {
	fail    map[string]error // by target
	mounted []string
	flags   map[string]uintptr
	made    []string
}

func (f *fakeKernel) Mkdir(path string, _ fs.FileMode) error {
	f.made = append(f.made, path)
	return f.fail["mkdir "+path]
}

func (f *fakeKernel) Mount(_, target, kind string, flags uintptr, _ string) error {
	if f.fail[target] == nil {
		f.mounted = append(f.mounted, kind+" "+target)
		f.flags[target] = flags
	}
	return f.fail[target]
}

func (f *fakeKernel) Unmount(target string, _ int) error {
	f.mounted = slices.DeleteFunc(f.mounted, func(m string) bool { return strings.HasSuffix(m, " "+target) })
	return f.fail["unmount "+target]
}

func newKernel() *fakeKernel {
	return &fakeKernel{fail: map[string]error{}, flags: map[string]uintptr{}}
}

func TestMountAndUnmount(t *testing.T) {
	k := newKernel()
	s := newMounts(k)
	if err := errors.Join(s.base(), s.configfs()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"devtmpfs /dev", "proc /proc", "sysfs /sys", "tmpfs /run", "configfs /sys/kernel/config"}; !slices.Equal(k.mounted, want) {
		t.Errorf("mounted %v", k.mounted)
	}
	if want := []string{"/dev", "/proc", "/sys", "/run"}; !slices.Equal(k.made, want) {
		t.Errorf("made %v", k.made)
	}
	for target, flags := range k.flags {
		if flags&unix.MS_NOSUID == 0 {
			t.Errorf("%s allows setuid programs", target)
		}
	}
	if err := s.unmount(dirRun); err != nil || !slices.Equal(k.mounted, []string{"tmpfs /run"}) {
		t.Errorf("left %v, %v", k.mounted, err)
	}
}

func TestMountFailures(t *testing.T) {
	for _, what := range []string{"/dev", "/proc", "/sys", "/run", "mkdir /sys"} {
		k := newKernel()
		k.fail[what] = unix.EIO
		if err := newMounts(k).base(); !errors.Is(err, unix.EIO) {
			t.Errorf("%s: %v", what, err)
		}
	}
	k := newKernel()
	k.fail["/dev"] = unix.EBUSY
	s := newMounts(k)
	if err := s.base(); err != nil {
		t.Errorf("/dev that is mounted: %v", err)
	}
	k.fail["/sys/kernel/config"] = unix.ENODEV
	if err := s.configfs(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a kernel without configfs: %v", err)
	}
	k.fail["/sys/kernel/config"] = unix.EIO
	if err := s.configfs(); !errors.Is(err, unix.EIO) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	k.fail["unmount /proc"] = unix.EINVAL
	if err := s.unmount(); !errors.Is(err, unix.EINVAL) || len(k.mounted) != 0 {
		t.Errorf("%v, left %v", err, k.mounted)
	}
}
