package bootentry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
)

// fedora is shaped after an image whose menu is BLS entries.
func fedora() fstest.MapFS {
	entry := func(version string) string {
		return "title Fedora (" + version + ")\nversion " + version + "\nlinux /vmlinuz-" + version +
			"\ninitrd /initramfs-" + version + ".img $tuned_initrd\noptions $kernelopts rhgb\ngrub_users $grub_users\n"
	}
	return fstest.MapFS{
		"grub2/grub.cfg":                      file("load_env\nset default=\"${saved_entry}\"\nblscfg\n"),
		"grub2/grubenv":                       file("# GRUB Environment Block\nkernelopts=root=UUID=1 ro console=ttyS0\nsaved_entry=abc-6.9.12\n###"),
		"loader/entries/abc-6.9.12.conf":      file(entry("6.9.12")),
		"loader/entries/abc-6.10.3.conf":      file(entry("6.10.3")),
		"loader/entries/abc-6.10.3~rc1.conf":  file(entry("6.10.3~rc1")),
		"loader/entries/abc-0-rescue.conf":    file(entry("0-rescue")),
		"loader/entries/abc-6.10.3.conf.orig": file(entry("no")),
	}
}

func TestBLS(t *testing.T) {
	entries, err := bootentry.Read(fstest.MapFS{}, fedora(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var kernels []string
	for _, e := range entries {
		kernels = append(kernels, e.Kernel)
		if e.Default != (e.ID == "abc-6.9.12") {
			t.Errorf("default: %+v", e)
		}
	}
	if want := []string{"/vmlinuz-6.10.3", "/vmlinuz-6.10.3~rc1", "/vmlinuz-6.9.12", "/vmlinuz-0-rescue"}; !slices.Equal(kernels, want) {
		t.Errorf("kernels %q, want %q", kernels, want)
	}
	if e := entries[0]; e.Options != "root=UUID=1 ro console=ttyS0 rhgb" || !slices.Equal(e.Initrds, []string{"/initramfs-6.10.3.img"}) ||
		e.Title != "Fedora (6.10.3)" || e.Source != "loader/entries/abc-6.10.3.conf" {
		t.Errorf("%+v", e)
	}
}

func TestSystemdBoot(t *testing.T) {
	esp := fstest.MapFS{"loader/entries/a.conf": file("title\tArch\nlinux\t/vmlinuz-linux\ninitrd /a.img\ninitrd /b.img\noptions a\noptions b\n")}
	entries, err := bootentry.Read(fstest.MapFS{}, nil, esp)
	if err != nil || len(entries) != 1 || entries[0].Options != "a b" || len(entries[0].Initrds) != 2 || entries[0].Title != "Arch" || !entries[0].Default {
		t.Errorf("%+v, %v", entries, err)
	}
}

func TestHugeBLSEntriesAreRefused(t *testing.T) {
	boot := fedora()
	boot["loader/entries/abc-6.9.12.conf"] = file(strings.Repeat("#", 64<<10+1))
	if _, err := bootentry.Read(fstest.MapFS{}, boot, nil); !errors.Is(err, bootentry.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

func TestDirectoriesOfBLSEntries(t *testing.T) {
	crowd := func(n int) fstest.MapFS {
		boot := fedora()
		for len(boot) < n+2 { // grub.cfg and grubenv are elsewhere
			boot[fmt.Sprintf("loader/entries/%d", len(boot))] = file("")
		}
		return boot
	}
	if _, err := bootentry.Read(fstest.MapFS{}, crowd(1024), nil); err != nil {
		t.Errorf("as many as may be: %v", err)
	}
	if _, err := bootentry.Read(fstest.MapFS{}, crowd(1025), nil); !errors.Is(err, bootentry.ErrMalformed) || !strings.Contains(err.Error(), "more than 1024 files") {
		t.Errorf("too many: %v", err)
	}
	boot := fstest.MapFS{"loader/entries": file("linux /vmlinuz\n")}
	if _, err := bootentry.Read(fstest.MapFS{}, boot, boot); err == nil || !strings.Contains(err.Error(), "list loader/entries") {
		t.Errorf("a file: %v", err)
	}
}

func FuzzBLS(f *testing.F) {
	f.Add("title a\nlinux /k\noptions $kernelopts\n", "kernelopts=a b\n")
	f.Fuzz(func(t *testing.T, entry, env string) {
		boot := fedora()
		boot["grub2/grubenv"], boot["loader/entries/x.conf"] = file(env), file(entry)
		if _, err := bootentry.Read(fstest.MapFS{}, boot, nil); err != nil && !errors.Is(err, bootentry.ErrMalformed) {
			t.Errorf("got %v", err)
		}
	})
}
