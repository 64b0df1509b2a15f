package qemu_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
)

func be32(at int, v uint32) func([]byte) []byte {
	return func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], v); return b }
}

func be64(at int, v uint64) func([]byte) []byte {
	return func(b []byte) []byte { binary.BigEndian.PutUint64(b[at:], v); return b }
}

func le64(at int, v uint64) func([]byte) []byte {
	return func(b []byte) []byte { binary.LittleEndian.PutUint64(b[at:], v); return b }
}

func cut(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		if n < 0 {
			return b[:len(b)+n]
		}
		return b[:n]
	}
}

func whole(b []byte) []byte { return b }

func swap(old, with string) func([]byte) []byte {
	return func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), old, with)) }
}

// table changes the first entry that is in use of the first L2 table.
func table(change func(entry uint64) uint64) func([]byte) []byte {
	return func(b []byte) []byte {
		l1 := binary.BigEndian.Uint64(b[40:])
		at := binary.BigEndian.Uint64(b[l1:]) &^ (1 << 63)
		for binary.BigEndian.Uint64(b[at:]) == 0 {
			at += 8
		}
		binary.BigEndian.PutUint64(b[at:], change(binary.BigEndian.Uint64(b[at:])))
		return b
	}
}

// firstL1 changes the first entry of the L1 table.
func firstL1(v uint64) func([]byte) []byte {
	return func(b []byte) []byte { return be64(int(binary.BigEndian.Uint64(b[40:])), v)(b) }
}

func TestHostileImagesAreRefused(t *testing.T) {
	for kind, cases := range map[string]map[string]func([]byte) []byte{
		"-O qcow2": {
			"of another version":           be32(4, 4),
			"its data is in another file":  be64(72, 4),
			"marked as corrupt":            be64(72, 2),
			"unknown incompatible":         be64(72, 1<<40),
			"data is in another file":      be32(104+8, 0x44415441),
			"encrypted (LUKS)":             be32(104+8, 0x0537be77),
			"header extension of":          be32(104+12, 1<<31),
			"header of 103 bytes":          be32(100, 103),
			"header of 4294967295 bytes":   be32(100, 1<<32-1),
			"clusters of 2^8 ":             be32(20, 8),
			"clusters of 2^22":             be32(20, 22),
			"encrypted (method 1)":         be32(32, 1),
			"disk is empty":                be64(24, 0),
			"disk of 1 PiB":                be64(24, 1<<50),
			"disk of 8192 PiB":             be64(24, 1<<64-1),
			"L1 table of 0 entries":        be32(36, 0),
			"L1 table of 4294967295":       be32(36, 1<<32-1),
			"L1 table of 1 entries at 1, ": be64(40, 1),
			"L1 table: refused disk image": be64(40, 1<<40),
			"L2 table 0: refused":          firstL1(1 << 40),
			"L2 table 0 at 66048 starts":   firstL1(1<<63 | 66048),
			"name of a backing file of 0":  be64(8, 512),
			"more L2 tables than":          many,
			"at 1099511627776, the file":   table(func(uint64) uint64 { return 1<<63 | 1<<40 }),
			"data at 512 starts inside":    table(func(uint64) uint64 { return 1<<63 | 512 }),
			"truncated":                    cut(-1024),
			"it ends before byte 104":      cut(80),
			"it ends before byte 72":       cut(20),
			"it ends before byte 120":      cut(115),
			"it ends before byte 125":      func(b []byte) []byte { be32(112, 0xe2792aca)(b); return be32(116, 5)(b)[:120] },
		},
		"-O qcow2 -c":             {"truncated": cut(-1024), "points outside": table(func(e uint64) uint64 { return e + 1<<40 })},
		"-O qcow2 -o compat=0.10": {"truncated": cut(-512)},
		"-O qcow2 -o extended_l2=on": {
			"truncated":    cut(-1024),
			"the file has": table(func(uint64) uint64 { return 1<<63 | 1<<40 | 1 }),
		},
		"-O vmdk": {
			"vmdk of 0 sectors":     le64(12, 0),
			"vmdk of 1844674407370": le64(12, 1<<64-1),
			"descriptor of 0 sec":   le64(36, 0),
			"at sector 0":           le64(28, 0),
			"at sector 184467":      le64(28, 1<<64-1),
			"want it at 1":          le64(28, 2),
			"has a parent":          func(b []byte) []byte { copy(b[20*512:], "parentFileNameHint"); return b },
			"of 4294967296 sect":    le64(36, 1<<32),
			"vmdk has a parent":     swap("parentCID=ffffffff", "parentCID=12345678"),
			"the vmdk has a parent": swap("# Extent description", "parentFileNameHint=x"),
			`type "monolithicFlat"`: swap(`"monolithicSparse"`, `"monolithicFlat"`),
			"vmdk of 2 extents":     swap("# Extent description", "RW 1 FLAT \"/x\" 0\n###"),
			"vmdk of 0 extents":     swap("\nRW ", "\n## "),
			"qemu-img check":        cut(-1 << 20),
		},
		"-O vmdk -o subformat=monolithicFlat": {"descriptor of other files": whole},
		"-O vdi": {
			"version 1.1":      le64(0x44, 2),
			"vdi of type 4":    le64(0x4c, 4),
			"vdi has a parent": le64(0x1b8, 1),
			"disk is empty":    le64(0x170, 0),
			"disk of 1 PiB":    le64(0x170, 1<<50),
			"truncated":        cut(-1),
		},
		"-O vhdx": {
			"without metadata": swap("\x06\xa2\x7c\x8b", "\x06\xa2\x7c\x00"),
			"without metadata o": func(b []byte) []byte {
				return swap("\x06\xa2\x7c\x8b", "\x06\xa2\x7c\x00")(le64(192<<10+8, 1<<32-1)(b))
			},
			"without parameters": swap("\x24\x42\xa5\x2f", "\x24\x42\xa5\x00"),
			"truncated":          cut(-8 << 20),
			"the vhdx has a":     swap("\x00\x00\x80\x00\x00\x00\x00\x00", "\x00\x00\x80\x00\x02\x00\x00\x00"),
			"in blocks of 0,":    swap("\x00\x00\x80\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x00"),
			"vhdx of 11258999":   swap("\x00\x00\x90\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x04\x00"),
			"it ends before":     cut(100000),
		},
		"-O vpc -o force_size=on": {
			"disk is empty":   be64(48, 0),
			"disk of 1 PiB":   be64(48, 1<<50),
			"with a parent":   be32(60, 4),
			"dynamic header":  be64(16, 1<<60),
			"vhd of 1 blocks": be32(512+28, 1),
			"of 0 bytes":      be32(512+32, 0),
			"block table":     be64(512+16, 1<<60),
			"points outside":  be32(1536, 1<<31),
			"block 1 ends":    cut(3 << 20),
		},
		"-O vpc -o force_size=on,subformat=fixed": {"with a parent": func(b []byte) []byte { return b[1<<20:] }},
		"-O qcow":      {"of another version": whole},
		"-O qed":       {`format "qed"`: whole},
		"-O parallels": {`format "parallels"`: whole},
		"-O raw":       {`format "luks"`: func(b []byte) []byte { copy(b, "LUKS\xba\xbe"); return b }},
	} {
		good := image(t, strings.Fields(kind)...)
		for want, damage := range cases {
			bad := filepath.Join(filepath.Dir(good), "bad")
			save(t, bad, damage(load(t, good)))
			s, err := qemu.Probe(bad)
			if err == nil {
				_, err = qemu.Open(t.Context(), s)
			}
			if !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: %v", kind, want, err)
			}
		}
	}
}

// many lets every entry of a long L1 table name the same L2 table.
func many(b []byte) []byte {
	l1, n := binary.BigEndian.Uint64(b[40:]), len(b)/65536+1
	be32(36, uint32(n))(b)
	for i := range n {
		copy(b[int(l1)+8*i:], b[l1:l1+8])
	}
	return b
}

func TestBackingFilesElsewhereAreRefused(t *testing.T) {
	outside := t.TempDir()
	save(t, filepath.Join(outside, "secret"), content())
	for name, want := range map[string]string{
		filepath.Join(outside, "secret"): "outside of the image's directory",
		"../secret":                      "outside of the image's directory",
		"sub/../../secret":               "outside of the image's directory",
		"/etc/passwd":                    "outside of the image's directory",
		"link":                           "escapes",
		"linkdir/secret":                 "escapes",
		"fifo":                           "not a regular file",
		"sub":                            "not a regular file",
		"missing":                        "no such file",
		`json:{"driver":"file","filename":"/etc/passwd"}`: "a protocol",
		"nbd://127.0.0.1:1/x":                             "a protocol",
		"nbd:unix:/run/x":                                 "a protocol",
		"https://127.0.0.1/":                              "a protocol",
		"image":                                           "a loop",
		"sub/hard":                                        "a loop",
		"long1":                                           "more than 8 files",
		"bad\x00name":                                     "refused",
		"bad\xffname":                                     "no such file",
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
		overlay(t, filepath.Join(dir, "image"), name, "raw")
		for i := range 9 {
			overlay(t, filepath.Join(dir, "long"+string(rune('1'+i))), "long"+string(rune('2'+i)), "qcow2")
		}
		if err := errors.Join(
			os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "link")),
			os.Symlink(outside, filepath.Join(dir, "linkdir")),
			os.Link(filepath.Join(dir, "image"), filepath.Join(dir, "sub", "hard")),
			syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
		); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, "long") {
			overlay(t, filepath.Join(dir, "image"), name, "qcow2")
		}
		if _, err := qemu.Probe(filepath.Join(dir, "image")); !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// overlay writes an empty image whose header names a backing file, without
// asking QEMU to look at it.
func overlay(tb testing.TB, path, backing, format string) {
	tb.Helper()
	b := make([]byte, 4*65536)
	copy(b, "QFI\xfb\x00\x00\x00\x03")
	be64(8, 512)(b)
	be32(16, uint32(len(backing)))(b)
	be32(20, 16)(b)
	be64(24, 1<<20)(b)
	be32(36, 1)(b)
	be64(40, 3*65536)(b)
	be32(96, 4)(b)
	be32(100, 104)(b)
	be32(104, 0xe2792aca)(b)
	be32(108, uint32(len(format)))(b)
	copy(b[112:], format)
	copy(b[512:], backing)
	save(tb, path, b)
}

func TestDeclaredFormatOfABackingFileCounts(t *testing.T) {
	dir := t.TempDir()
	overlay(t, filepath.Join(dir, "other"), "/etc/passwd", "raw")
	top := filepath.Join(dir, "top")
	overlay(t, top, "other", "raw")
	if s := probe(t, top); s.Backing == nil || s.Backing.Format != qemu.Raw || s.Backing.VirtualSize != 4*65536 {
		t.Errorf("a raw backing file that looks like a qcow2: %+v", s)
	}
	for format, want := range map[string]string{
		"qcow2": "outside of the image's directory",
		"vmdk":  "not a sparse extent",
		"nbd":   `format "nbd"`,
		"":      "outside of the image's directory",
	} {
		overlay(t, top, "other", format)
		if _, err := qemu.Probe(top); !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", format, err)
		}
	}
	save(t, filepath.Join(dir, "other"), content())
	overlay(t, top, "other", "qcow2")
	if _, err := qemu.Probe(top); !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), "not a qcow2") {
		t.Errorf("a raw file declared as qcow2: %v", err)
	}
}

func TestWhatIsNoImage(t *testing.T) {
	dir := t.TempDir()
	save(t, filepath.Join(dir, "empty"), nil)
	save(t, filepath.Join(dir, "bad\xff"), content())
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"empty": qemu.ErrImage, "fifo": qemu.ErrImage, ".": qemu.ErrImage, "bad\xff": qemu.ErrImage, "missing": os.ErrNotExist, "missing/x": os.ErrNotExist} {
		if _, err := qemu.Probe(filepath.Join(dir, name)); !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
