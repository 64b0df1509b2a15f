package bootentry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/uki"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/uki/ukitest"
)

// ids reads a menu and returns the IDs in its order, and that of the default.
func ids(t *testing.T, boot, esp fstest.MapFS) (all []string, chosen string) {
	t.Helper()
	var entries []bootentry.Entry
	var err error
	if boot == nil {
		entries, err = bootentry.Read(fstest.MapFS{}, nil, esp)
	} else {
		entries, err = bootentry.Read(fstest.MapFS{}, boot, esp)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.ID)
		if e.Default {
			chosen += e.ID
		}
	}
	return all, chosen
}

// TestOrderOfSystemdBoot sorts by attempts left, sort key, machine, version and name,
// over the EFI system partition and the extended boot loader partition.
func TestOrderOfSystemdBoot(t *testing.T) {
	entry := func(lines ...string) *fstest.MapFile {
		return file("linux /k\n" + strings.Join(lines, "\n") + "\n")
	}
	esp := fstest.MapFS{
		"loader/entries/old-9.conf":      entry(),
		"loader/entries/old-10.conf":     entry(),
		"loader/entries/bad+0-3.conf":    entry("sort-key a"),
		"loader/entries/new-1.conf":      entry("sort-key debian", "version 6.9"),
		"loader/entries/arm.conf":        entry("sort-key a", "architecture aa64"),
		"loader/entries/firmware.conf":   file("title Shell\nefi /shell.efi\n"),
		"loader/entries/new-3+3.conf":    entry("sort-key debian", "version 6.8", "architecture x64"),
		"loader/entries/notes.txt":       file("none"),
		"loader/entries/x+y-6.1.conf":    entry("sort-key zz"),
		"loader/entries/other-mach.conf": entry("sort-key debian", "machine-id 11", "version 7"),
	}
	boot := fstest.MapFS{"loader/entries/new-2.conf": entry("sort-key debian", "version 6.10")}
	want := []string{"new-2", "new-1", "new-3", "other-mach", "x+y-6.1", "old-10", "old-9", "bad"}
	if got, chosen := ids(t, boot, esp); !slices.Equal(got, want) || chosen != "new-2" {
		t.Errorf("order %q, default %s", got, chosen)
	}
	for pattern, want := range map[string]string{
		"old-9.conf": "old-9", "OLD-*": "old-10", "new-3.conf": "new-3", "bad": "bad", "none": "new-2", "[": "new-2", "@saved": "new-2", "new-?.conf": "new-2",
	} {
		esp["loader/loader.conf"] = file("#default x\ntimeout 5\ndefault\t" + pattern + "\n")
		if _, chosen := ids(t, boot, esp); chosen != want {
			t.Errorf("default %s: %s, want %s", pattern, chosen, want)
		}
	}
	esp["loader/loader.conf"] = file("default @saved\n")
	entries, err := bootentry.Read(fstest.MapFS{}, nil, esp)
	if err != nil || len(entries[0].Doubts) != 1 || !strings.Contains(entries[0].Doubts[0], `the default "@saved", which the firmware remembers`) {
		t.Errorf("%+v, %v", entries, err)
	}
	esp["loader/loader.conf"] = file("default " + strings.Repeat("*", 300))
	if _, err := bootentry.Read(fstest.MapFS{}, nil, esp); !errors.Is(err, bootentry.ErrMalformed) {
		t.Errorf("a long pattern: %v", err)
	}
}

// TestTwoMenus has GRUB's menu, and one of systemd-boot that the firmware may start
// instead.
func TestTwoMenus(t *testing.T) {
	root := fstest.MapFS{"boot/grub/grub.cfg": file("menuentry 'a' { linux /boot/vmlinuz-1 ro; initrd /boot/initrd.img-1; }\n")}
	for doubts, esp := range map[int]fstest.MapFS{
		0: {"EFI/debian/grub.cfg": file("configfile x"), "loader/loader.conf": file("default a")},
		1: {"loader/entries/a.conf": file("linux /k\n")},
	} {
		entries, err := bootentry.Read(root, nil, esp)
		if err != nil || len(entries) != 1 || entries[0].Title != "a" || len(entries[0].Doubts) != doubts {
			t.Errorf("want %d doubts: %+v, %v", doubts, entries, err)
		}
	}
}

// image is a unified kernel image of Debian.
func image(version string, more ...ukitest.Section) *fstest.MapFile {
	return file(ukitest.Image(append([]ukitest.Section{
		{uki.Release, "ID=debian\nPRETTY_NAME=\"Debian 13\"\nVERSION_ID=13\n"}, {uki.Cmdline, "root=/dev/vda1 ro"}, {uki.Uname, version},
		{uki.Linux, "kernel " + version}, {uki.Initrd, "initrd"},
	}, more...)...))
}

func addon(sections ...ukitest.Section) *fstest.MapFile { return file(ukitest.Image(sections...)) }

// TestUnifiedKernelImages has images beside entries, with what lies beside them.
func TestUnifiedKernelImages(t *testing.T) {
	esp := fstest.MapFS{
		"EFI/Linux/debian-6.9.efi":                              image("6.9"),
		"EFI/Linux/debian-6.12+2-1.efi":                         image("6.12", ukitest.Section{uki.Microcode, "microcode"}, ukitest.Section{".profile", "ID=one"}, ukitest.Section{".profile", "ID=two"}),
		"EFI/Linux/memtest.efi":                                 file("no program"),
		"EFI/Linux/stub.efi":                                    addon(ukitest.Section{".text", "x"}),
		"EFI/Linux/debian-6.12.efi.extra.d/b.addon.efi":         addon(ukitest.Section{uki.Cmdline, "console=ttyS0"}, ukitest.Section{uki.Initrd, "more"}),
		"EFI/Linux/debian-6.12.efi.extra.d/a.addon.efi":         addon(ukitest.Section{uki.Cmdline, "quiet\n"}, ukitest.Section{uki.Microcode, "newer"}),
		"EFI/Linux/debian-6.12.efi.extra.d/other.addon.efi":     addon(ukitest.Section{uki.Cmdline, "other"}, ukitest.Section{uki.Uname, "6.9"}),
		"EFI/Linux/debian-6.12.efi.extra.d/network.confext.raw": file("x"),
		"loader/addons/all.addon.efi":                           addon(ukitest.Section{uki.Cmdline, "everywhere"}),
		"loader/entries/own.conf":                               file("title Own\nuki /EFI/Linux/debian-6.9.efi\noptions own\n"),
		"loader/loader.conf":                                    file("default debian-6.12.efi\n"),
	}
	entries, err := bootentry.Read(fstest.MapFS{}, nil, esp)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%+v, %v", entries, err)
	}
	const dir = "/EFI/Linux/debian-6.12"
	e := entries[0]
	if e.ID != "debian-6.12" || e.Title != "Debian 13" || !e.Default || !e.ESP || e.Kernel != dir+"+2-1.efi/.linux" || e.Options != "root=/dev/vda1 ro everywhere quiet console=ttyS0" {
		t.Errorf("%+v", e)
	}
	if want := []string{dir + ".efi.extra.d/a.addon.efi/.ucode", dir + "+2-1.efi/.ucode", dir + "+2-1.efi/.initrd", dir + ".efi.extra.d/b.addon.efi/.initrd"}; !slices.Equal(e.Initrds, want) {
		t.Errorf("initrds %q, want %q", e.Initrds, want)
	}
	if doubts := strings.Join(e.Doubts, "; "); len(e.Doubts) != 2 || !strings.Contains(doubts, "1 more profiles") || !strings.Contains(doubts, "credentials or extensions") {
		t.Errorf("doubts %q", doubts)
	}
	if own := entries[2]; own.Title != "Own" || own.Kernel != "/EFI/Linux/debian-6.9.efi/.linux" || own.Options != "own" {
		t.Errorf("%+v", own)
	}
	broken := []byte(ukitest.Image(ukitest.Section{uki.Linux, "kernel"}))
	broken[ukitest.TableAt+20] = 0xFF
	esp["EFI/Linux/broken.efi"] = file(string(broken))
	if _, err := bootentry.Read(fstest.MapFS{}, nil, esp); !errors.Is(err, bootentry.ErrMalformed) || !strings.Contains(err.Error(), "broken.efi") {
		t.Errorf("a broken image: %v", err)
	}
}
