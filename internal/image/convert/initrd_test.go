package convert

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// TestMinimalInitrd holds the agent and its configuration, and nothing of the image's.
func TestMinimalInitrd(t *testing.T) {
	tree := tinyTree(t)
	put(t, tree, "boot/grub/grub.cfg", "menuentry 'Tiny' {\nlinux /boot/vmlinuz-"+tinyRelease+" root=/dev/vda1 ro rootflags=noatime,commit=30\n}\n") // and no initrd
	for optional, modules := range map[bool]string{false: bootconf.ModulesRequired, true: bootconf.ModulesOptional} {
		o, _ := tinyOptions(t, tinyImage(t, tree))
		o.OptionalModules = optional
		c, err := Convert(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(c.Cmdline, "rd.") || !strings.Contains(c.Cmdline, "systemd.mask=emergency.service systemd.mask=rescue.service") {
			t.Errorf("command line %s", c.Cmdline)
		}
		names, config := stagedInitrd(t, o)
		if want := []string{"snpguard", "snpguard/agent", "snpguard/config.json", "snpguard/modules"}; !slices.Equal(names, want) {
			t.Fatalf("the initrd holds %q", names)
		}
		if want := (bootconf.Mount{ReadOnly: true, Options: []string{"noatime", "commit=30"}}); config.Initrd != bootconf.InitrdMinimal ||
			config.Modules != modules || !reflect.DeepEqual(config.Root.Mount, want) {
			t.Errorf("configuration %+v", config)
		}
	}
}

// stagedInitrd returns the names in the initrd that a conversion has made, and what the
// agent is told there.
func stagedInitrd(t *testing.T, o *Options) (names []string, config *bootconf.Config) {
	t.Helper()
	f, err := os.Open(filepath.Join(o.Staging, staging.NameInitrd))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := initrd.Walk(f, func(h *cpio.Header, r io.Reader) error {
		names = append(names, h.Name)
		if "/"+h.Name != bootconf.PathConfig {
			return nil
		}
		encoded, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		config, err = bootconf.Parse(encoded)
		return err
	}, func(initrd.SegmentInfo) {}); err != nil || config == nil {
		t.Fatalf("the initrd holds %q, %v", names, err)
	}
	return names, config
}

// TestMissingFilesystemModule is a kernel that could not mount its root.
func TestMissingFilesystemModule(t *testing.T) {
	tree := tinyTree(t)
	builtin := filepath.Join(tree, "lib/modules", tinyRelease, "modules.builtin")
	content, err := os.ReadFile(builtin)
	if err != nil {
		t.Fatal(err)
	}
	put(t, tree, "lib/modules/"+tinyRelease+"/modules.builtin", strings.ReplaceAll(string(content), "kernel/ext4.ko\n", ""))
	o, _ := tinyOptions(t, tinyImage(t, tree))
	var missing *kmod.MissingError
	if _, err := Convert(context.Background(), o); !errors.As(err, &missing) || !slices.Equal(missing.Names, []string{"ext4"}) {
		t.Errorf("got %v", err)
	}
	o.Initrd = bootconf.InitrdDistribution // has it, or none of ours to say
	if _, err := Convert(context.Background(), o); err != nil {
		t.Error(err)
	}
}

// TestMountThatNamesADevice has options in the boot entry, and in what its owner adds.
func TestMountThatNamesADevice(t *testing.T) {
	tree := tinyTree(t)
	put(t, tree, "boot/grub/grub.cfg", "menuentry 'Tiny' {\nlinux /boot/vmlinuz-"+tinyRelease+" root=/dev/vda1 rw rootflags=journal_path=/dev/vdb rootflags=errors=remount-ro\n}\n")
	o, _ := tinyOptions(t, tinyImage(t, tree))
	c, err := Convert(context.Background(), o)
	if err != nil || strings.Contains(c.Cmdline, "journal_path") || !slices.ContainsFunc(c.Findings, func(f staging.Finding) bool {
		return f.Code == "cmdline-dropped" && strings.Contains(f.Detail, "journal_path")
	}) {
		t.Errorf("%v, %+v", err, c)
	}
	o, _ = tinyOptions(t, tinyImage(t, tree))
	o.CmdlineAppend = "rootflags=journal_path=/dev/vdb"
	if _, err := Convert(context.Background(), o); !errors.Is(err, bootconf.ErrConfig) || !strings.Contains(err.Error(), "journal_path") || !strings.Contains(err.Error(), "is not among") {
		t.Errorf("added by its owner: %v", err)
	}
	o.Initrd = bootconf.InitrdDistribution // whose programs mount the root as their owner asks
	if _, err := Convert(context.Background(), o); err != nil {
		t.Error(err)
	}
}

// foreign is a root of another kind.
type foreign struct {
	rootfs.Volume
	kind rootfs.Type
}

func (f foreign) Type() rootfs.Type { return f.kind }

// TestSubvolume mounts the subvolume that was looked into and changed.
func TestSubvolume(t *testing.T) {
	minimal := &conversion{Options: &Options{Config: Config{Initrd: bootconf.InitrdMinimal}}}
	for _, tc := range []struct {
		cmdline, found string
		want           []string // nil for an error
	}{
		{"rootflags=subvol=@,noatime", "subvol=@", []string{"noatime", "subvol=@"}},
		{"rootflags=subvol=/@", "subvol=@", []string{"subvol=@"}},
		{"rootflags=subvolid=256", "subvol=@", []string{"subvol=@"}},
		{"", "subvol=@rootfs", []string{"subvol=@rootfs"}},
		{"", "", []string{}},
		{"rootflags=subvol=@", "subvol=@rootfs", nil},
		{"rootflags=subvol=@", "", nil},
	} {
		m, err := minimal.chooseMount(tc.cmdline, &workingCopy{fs: foreign{kind: rootfs.Btrfs}, options: tc.found})
		if (err != nil) != (tc.want == nil) || err == nil && !reflect.DeepEqual(m.Options, tc.want) {
			t.Errorf("%q, found in %q: %q, %v", tc.cmdline, tc.found, m.Options, err)
		}
	}
	if m, err := minimal.chooseMount("rootflags=uquota", &workingCopy{fs: foreign{kind: rootfs.XFS}}); err != nil || !reflect.DeepEqual(m.Options, []string{"uquota"}) {
		t.Errorf("xfs: %q, %v", m.Options, err)
	}
}
