package bootentry_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

func file(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content), Mode: 0o644} }

func debianMenu(tb testing.TB) string {
	tb.Helper()
	content, err := os.ReadFile("testdata/debian-13.grub.cfg")
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

func TestDebian(t *testing.T) {
	entries, err := bootentry.Read(fstest.MapFS{"boot/grub/grub.cfg": file(debianMenu(t))}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 {
		t.Fatalf("%d entries: %+v", len(entries), entries)
	}
	e := entries[0]
	if e.Title != "Debian GNU/Linux" || e.ID != "gnulinux-simple-4f028af1-2ddc-4970-b7f7-c6cd05edee9f" ||
		e.Kernel != "/boot/vmlinuz-6.12.117+deb13-cloud-amd64" || !slices.Equal(e.Initrds, []string{"/boot/initrd.img-6.12.117+deb13-cloud-amd64"}) ||
		e.Options != "root=PARTUUID=3e39e2a0-bae5-45a9-bcec-a6c62883b9f8 ro console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0" ||
		e.Source != "boot/grub/grub.cfg" || !e.Default {
		t.Errorf("first entry: %+v", e)
	}
	e = entries[2]
	if e.Title != "Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.12.117+deb13-cloud-amd64 (recovery mode)" ||
		!strings.Contains(e.Options, "ro single") || e.Default {
		t.Errorf("recovery: %+v", e)
	}
}

// TestInitrdlessFirst has an entry that boots without an initrd at first, as Ubuntu
// writes it with GRUB_FORCE_PARTUUID.
func TestInitrdlessFirst(t *testing.T) {
	for name, test := range map[string]struct{ block, initrd, options string }{
		"ubuntu": {`if [ "${initrdfail}" = 1 ]; then
linux /vmlinuz root=PARTUUID=x ro
initrd /initrd.img
else
linux /vmlinuz root=PARTUUID=x ro panic=-1
fi
initrdfail`, "/initrd.img", "root=PARTUUID=x ro"},
		"nested":         {"linux /vmlinuz ro\nif [ a = b ]; then\nif [ a = b ]; then\ninitrd /initrd.img\nfi\nfi", "/initrd.img", "ro"},
		"another kernel": {"if [ a = b ]; then\nlinux /other\ninitrd /initrd.img\nelse\nlinux /vmlinuz ro\nfi", "", "ro"},
		"its own":        {"if [ a = b ]; then\ninitrd /other.img\nfi\nlinux /vmlinuz ro\ninitrd /initrd.img", "/initrd.img", "ro"},
	} {
		menu := "menuentry 'a' {\n" + test.block + "\n}\n"
		entries, err := bootentry.Read(fstest.MapFS{"boot/grub/grub.cfg": file(menu)}, nil, nil)
		if err != nil || len(entries) != 1 {
			t.Errorf("%s: %+v, %v", name, entries, err)
			continue
		}
		e := entries[0]
		if e.Kernel != "/vmlinuz" || strings.Join(e.Initrds, " ") != test.initrd || e.Options != test.options {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// fourEntries has a plain entry, two in a submenu, one that boots no Linux and a
// submenu of such.
const fourEntries = `
set default="${saved_entry}"
menuentry 'A' --class x --id a { linux /vmlinuz-1 root=/dev/sda1 }
submenu 'More' --id more {
  menuentry 'B' --id b { linux /vmlinuz-2 ; initrd /ucode /initrd-2 }
  menuentry "C \"quoted\"" --id c { linux ($root)/vmlinuz-3 }
}
menuentry 'Firmware' { fwsetup }
submenu 'Tools' { menuentry 'Shell' { chainloader /shell.efi } }
`

func TestDefault(t *testing.T) {
	for wanted, kernel := range map[string]string{
		"":                "/vmlinuz-1",
		"0":               "/vmlinuz-1",
		"a":               "/vmlinuz-1",
		"1":               "/vmlinuz-2",
		"1>1":             "/vmlinuz-3",
		"more>c":          "/vmlinuz-3",
		"More>B":          "/vmlinuz-2",
		"more>nothing":    "/vmlinuz-2",
		`More>C "quoted"`: "/vmlinuz-3",
		"2":               "/vmlinuz-1",
		"3":               "/vmlinuz-1",
		"3>0":             "/vmlinuz-1",
		"9":               "/vmlinuz-1",
		"nothing":         "/vmlinuz-1",
	} {
		root := fstest.MapFS{
			"boot/grub/grub.cfg": file(fourEntries),
			"boot/grub/grubenv":  file("# GRUB Environment Block\nsaved_entry=" + wanted + "\n####"),
		}
		entries, err := bootentry.Read(root, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var defaults []string
		for _, e := range entries {
			if e.Default {
				defaults = append(defaults, e.Kernel)
			}
		}
		if !slices.Equal(defaults, []string{kernel}) {
			t.Errorf("default %q: %q, want %q", wanted, defaults, kernel)
		}
	}
}

func TestScripts(t *testing.T) {
	for name, test := range map[string]struct{ script, kernel, options string }{
		"variables":       {`k=/vm; set o="a b"; menuentry x { linux ${k}linuz $o "$o" c$o }`, "/vmlinuz", `a b "a b" ca b`},
		"single quotes":   {`menuentry x { linux /k '$o' a'b'c }`, "/k", `$o abc`},
		"escapes":         {"menuentry x { linux /k a\\\n  b\\ c \\$d }", "/k", `a "b c" $d`},
		"comment":         {"# menuentry no { linux /no }\nmenuentry x { # yes\n linux /k a#b\n}", "/k", "a#b"},
		"if":              {`if [ "$x" ]; then k=/a; elif [ $grub_platform = efi -a -z "$x" ]; then k=/b; else k=/c; fi; menuentry x { linux $k }`, "/b", ""},
		"if within":       {`menuentry x { if test ! "$x"; then linux /yes; else linux /no; fi }`, "/yes", ""},
		"or, not equal":   {`if [ a = b -o a != b ]; then k=/yes; fi; menuentry x { linux $k }`, "/yes", ""},
		"not empty":       {`if [ -n "$x" ]; then k=/no; elif [ -n y ]; then k=/yes; fi; menuentry x { linux $k }`, "/yes", ""},
		"false":           {`if false; then k=/a; else k=/b; fi; menuentry x { linux $k }`, "/b", ""},
		"no such file":    {`if [ -f /etc/shadow ]; then k=/a; else k=/b; fi; menuentry x { linux $k }`, "/b", ""},
		"function":        {`function f { set k=/f; }; f; menuentry x { linux $k }`, "/f", ""},
		"own variables":   {`set k=/k; menuentry y { set k=/other; }; menuentry x { linux $k }`, "/k", ""},
		"loop":            {`for i in a b; do set k=/loop; done; set k=/k; menuentry x { linux $k }`, "/k", ""},
		"unset":           {`set o=a; unset o; menuentry x { linux /k $o b }`, "/k", "b"},
		"linuxefi":        {`menuentry x { linuxefi /k a }`, "/k", "a"},
		"quoted value":    {`menuentry x { linux /k "dyndbg=file a.c +p" }`, "/k", `dyndbg="file a.c +p"`},
		"dollar sign":     {`menuentry x { linux /k a$ b }`, "/k", "a$ b"},
		"id with =":       {`menuentry --id=x x { linux /k }`, "/k", ""},
		"braces in words": {`menuentry x { linux /k a{b}c }`, "/k", "a{b}c"},
	} {
		entries, err := bootentry.Read(fstest.MapFS{"boot/grub2/grub.cfg": file(test.script)}, nil, nil)
		if err != nil || len(entries) != 1 || entries[0].Kernel != test.kernel || entries[0].Options != test.options {
			t.Errorf("%s: %+v, %v", name, entries, err)
		}
	}
}

func TestBrokenMenusAreRefused(t *testing.T) {
	deep := strings.Repeat("submenu x { ", 40) + strings.Repeat("}", 40)
	for name, script := range map[string]string{
		"quote":          `menuentry 'x { linux /k }`,
		"double quote":   `menuentry "x { linux /k }`,
		"brace":          `menuentry x { linux /k`,
		"brace too much": `menuentry x { linux /k }}`,
		"if without fi":  `if true; then true`,
		"fi without if":  `fi`,
		"do without for": `do true; done`,
		"deep":           deep,
		"recursion":      `function f { f; }; f`,
		"endless":        `function a { true; true; true; true; true; true; true; true; }` + growing(),
		"many entries":   strings.Repeat("menuentry x { linux /k }\n", 1025),
		"huge variable":  "set a=" + strings.Repeat("x", 60000) + "\nset b=$a$a",
		"huge":           strings.Repeat("# comment\n", 4<<20/10+1),
		"binary":         "menuentry x { linux /k }\x00",
	} {
		if _, err := bootentry.Read(fstest.MapFS{"boot/grub/grub.cfg": file(script)}, nil, nil); !errors.Is(err, bootentry.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// growing is functions each of which calls the one before eight times.
func growing() string {
	var b strings.Builder
	for c := 'b'; c < 'm'; c++ {
		b.WriteString("\nfunction " + string(c) + " { " + strings.Repeat(string(c-1)+"; ", 8) + "}")
	}
	return b.String() + "\nl"
}

func TestNoEntries(t *testing.T) {
	for name, root := range map[string]fstest.MapFS{
		"nothing":  {},
		"no Linux": {"boot/grub/grub.cfg": file("menuentry x { fwsetup }")},
	} {
		if _, err := bootentry.Read(root, nil, nil); !errors.Is(err, bootentry.ErrNoEntries) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	directory := fstest.MapFS{"boot/grub/grub.cfg/x": file("")}
	if _, err := bootentry.Read(directory, nil, nil); !errors.Is(err, bootentry.ErrMalformed) {
		t.Errorf("a directory: %v", err)
	}
}

func TestWhereMenusAre(t *testing.T) {
	const menu = "menuentry x { linux /k }"
	stub := fstest.MapFS{"EFI/debian/grub.cfg": file("configfile ($root)/boot/grub/grub.cfg")}
	for name, test := range map[string]struct {
		root, boot, esp fstest.MapFS
		source          string
	}{
		"root":          {fstest.MapFS{"boot/grub/grub.cfg": file(menu)}, nil, stub, "boot/grub/grub.cfg"},
		"separate boot": {fstest.MapFS{"boot/grub/grub.cfg": file("menuentry x { linux /old }")}, fstest.MapFS{"grub/grub.cfg": file(menu)}, stub, "grub/grub.cfg"},
		"ESP":           {fstest.MapFS{}, nil, fstest.MapFS{"EFI/fedora/grub.cfg": file(menu)}, "EFI/fedora/grub.cfg"},
	} {
		var entries []bootentry.Entry
		var err error
		if test.boot == nil {
			entries, err = bootentry.Read(test.root, nil, test.esp)
		} else {
			entries, err = bootentry.Read(test.root, test.boot, test.esp)
		}
		if err != nil || len(entries) != 1 || entries[0].Source != test.source || entries[0].Kernel != "/k" {
			t.Errorf("%s: %+v, %v", name, entries, err)
		}
	}
}

func FuzzGRUB(f *testing.F) {
	f.Add(debianMenu(f), "saved_entry=1>2\n")
	f.Add(fourEntries, "")
	f.Fuzz(func(t *testing.T, script, env string) {
		root := fstest.MapFS{"boot/grub/grub.cfg": file(script), "boot/grub/grubenv": file(env)}
		entries, err := bootentry.Read(root, nil, nil)
		if err != nil {
			if !errors.Is(err, bootentry.ErrMalformed) && !errors.Is(err, bootentry.ErrNoEntries) {
				t.Errorf("got %v", err)
			}
			return
		}
		for _, e := range entries {
			if _, err := bootentry.Cmdline(bootconf.InitrdMinimal, e.Options, "", nil); err != nil && !errors.Is(err, bootentry.ErrCmdline) {
				t.Errorf("got %v", err)
			}
		}
	})
}
