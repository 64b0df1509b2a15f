package instance_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/instance"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

const uuid = "01234567-89ab-cdef-0123-456789abcdef"

// superblock is the first MiBs of a file system of which nothing is there but magic, UUID
// and the end, which is behind 3 of 4 MiB.
func superblock(kind string) []byte {
	b := make([]byte, 4<<20)
	for i := range b {
		b[i] = byte(i / 512)
	}
	id := []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}
	switch kind {
	case "xfs":
		copy(b, "XFSB\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x03\x00")
		copy(b[32:], id)
	case "btrfs":
		copy(b[65600:], "_BHRfS_M")
		copy(b[65568:], id)
		copy(b[65648:], "\x00\x00\x30\x00\x00\x00\x00\x00")
	}
	return b
}

// TestOtherFileSystems brings all of an xfs or btrfs under the key up to its end, and
// nothing of what a grown partition has behind it.
func TestOtherFileSystems(t *testing.T) {
	for _, kind := range []string{"xfs", "btrfs"} {
		w := newWorld(t, superblock(kind), kind, uuid)
		w.endsAt(t, kind, 3<<20)
	}
}

// endsAt wants the payload under the volume key up to an offset, and golden behind that.
func (w *world) endsAt(t *testing.T, name string, end int64) {
	t.Helper()
	w.used = []used{{0, end}}
	key, err := w.boot()
	if err == nil {
		err = w.ready(key)
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if behind := luks2.PayloadOffset + end; !bytes.Equal(w.disk.durable[behind:], w.golden[behind:]) {
		t.Errorf("%s: what is behind the file system was changed", name)
	}
}

// TestAllOfExt4 takes no word for what an ext4 uses that was not unmounted, and none where
// the conversion encrypted free space. The partition has grown since.
func TestAllOfExt4(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(plain []byte)
		all    bool
	}{
		"in use":          {func(plain []byte) { plain[1024+0x3A] = 0 }, false},
		"to be replayed":  {func(plain []byte) { plain[1024+0x60] |= 4 }, false}, // as a power cut leaves a journal
		"with errors":     {func(plain []byte) { plain[1024+0x3A] = 3 }, false},
		"free space, too": {func([]byte) {}, true},
	} {
		plain, err := os.ReadFile(rootfstest.Make(t, 2, "", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum"))
		must(t, err)
		tc.change(plain)
		w := newWorld(t, append(plain, make([]byte, 1<<20)...), "ext4", rootfstest.UUID)
		w.config.EncryptFreeSpace = tc.all
		w.endsAt(t, name, 2<<20)
	}
}

// TestDamagedExt4 stops where the list of what is used cannot be read: noise is how a
// boundary looks that was put back.
func TestDamagedExt4(t *testing.T) {
	plain, err := os.ReadFile(rootfstest.Make(t, 2, "", "-t", "ext4", "-b", "1024"))
	must(t, err)
	for name, change := range map[string]func([]byte){
		"group descriptors": func(b []byte) { clear(b[2048:3072]) },
		"no end":            func(b []byte) { clear(b[1024+4:][:4]) },
		"features":          func(b []byte) { b[1024+0x63] = 0xFF },
	} {
		damaged := bytes.Clone(plain)
		change(damaged)
		w := newWorld(t, damaged, "ext4", rootfstest.UUID)
		_, err := w.boot()
		if err == nil || !strings.Contains(err.Error(), "does not show the measured file system") || w.row().State != wire.StateClaimed {
			t.Errorf("%s: %v, %s", name, err, w.row().State)
		}
		if !bytes.Equal(w.disk.durable[luks2.PayloadOffset:], w.golden[luks2.PayloadOffset:]) {
			t.Errorf("%s: the payload was changed", name)
		}
	}
}

// TestCryptsetup opens a ready instance with the recovered key, by either header, and has
// e2fsck look at it.
func TestCryptsetup(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	key, err := w.boot()
	must(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	must(t, os.WriteFile(file, key, 0o600))
	for name, damage := range map[string]func(d []byte){
		"both": func([]byte) {}, "first": func(d []byte) { clear(d[luks2.CopySize:luks2.Size]) }, "second": func(d []byte) { clear(d[:luks2.CopySize]) },
	} {
		content := bytes.Clone(w.disk.durable)
		damage(content)
		path := filepath.Join(dir, "disk")
		must(t, os.WriteFile(path, content, 0o600))
		open := func(key string) ([]byte, error) {
			return exec.CommandContext(t.Context(), "cryptsetup", "open", "--test-passphrase", "--disable-locks", "--key-size", "512", "--volume-key-file", key, path).CombinedOutput()
		}
		if out, err := open(file); err != nil {
			t.Errorf("%s: cryptsetup (package cryptsetup-bin) refuses the key: %v %s", name, err, out)
		}
		golden := filepath.Join(dir, "golden")
		must(t, os.WriteFile(golden, w.service.Golden, 0o600))
		if _, err := open(golden); err == nil {
			t.Errorf("%s: cryptsetup takes the golden key", name)
		}
	}
	opened := make([]byte, len(w.plain))
	w.crypt(key, opened, w.disk.durable[luks2.PayloadOffset:], (*xts.Cipher).Decrypt)
	path := filepath.Join(dir, "fs")
	must(t, os.WriteFile(path, opened, 0o600))
	rootfstest.Run(t, "e2fsck", []string{"-fn", path})
}

// TestRecipients encrypts to none, and to age's hybrid ones.
func TestRecipients(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	w.config.RecoveryRecipients = nil
	key, err := w.boot()
	must(t, err)
	empty := make([]byte, instancedisk.RecoverySize)
	if err := w.arrived(key); err != nil || w.row().Recovery != nil || !bytes.Equal(w.disk.durable[instancedisk.RecoveryOffset:][:len(empty)], empty) {
		t.Errorf("%v, %d bytes with the service", err, len(w.row().Recovery))
	}
	hybrid, err := age.GenerateHybridIdentity()
	must(t, err)
	for range bootconf.MaxRecipients {
		w.config.RecoveryRecipients = append(w.config.RecoveryRecipients, hybrid.Recipient().String())
	}
	must(t, w.config.Validate())
	w.fresh()
	key, err = w.boot()
	must(t, err)
	r, err := age.Decrypt(bytes.NewReader(w.row().Recovery), hybrid)
	must(t, err)
	if opened, err := io.ReadAll(r); err != nil || !bytes.Equal(opened, key) {
		t.Errorf("recovered %d bytes, %v", len(opened), err)
	}
	w.config.RecoveryRecipients = []string{"age1" + strings.Repeat("q", 58)} // which the converter would not have written
	w.fresh()
	if _, err := w.boot(); err == nil || !strings.Contains(err.Error(), "recovery recipient 1") || w.row().State != wire.StateClaimed {
		t.Errorf("%v, %s", err, w.row().State)
	}
}

// TestLayout refuses disks that the records and headers do not fit.
func TestLayout(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	for name, change := range map[string]func(){
		"unsealing key":   func() { w.config.UnsealingKey = w.config.UnsealingKey[1:] },
		"payload earlier": func() { w.config.Root.PayloadOffset = 13 << 20 },
		"payload later":   func() { w.config.Root.PayloadOffset = 32 << 20 },
		"sectors":         func() { w.config.Root.SectorSize = 1024 },
	} {
		config := *w.config
		change()
		if _, err := w.boot(); err == nil || w.row().State != wire.StateNew || w.disk.done > 4 {
			t.Errorf("%s: %v, %s", name, err, w.row().State)
		}
		*w.config, w.disk.done = config, 0
	}
	w.between = func(g *unlock.Result) { g.State = wire.StateNone }
	if _, err := w.boot(); err == nil {
		t.Error("a first boot without an instance")
	}
}

// TestRead tells records of others from none, and does not take an error of the disk for
// one that shows nothing.
func TestRead(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	if s, err := instance.Read(w.disk, w.config.ImageID, w.id); err != nil || s.Foreign || !s.Disk().IsZero() {
		t.Errorf("golden: %+v, %v", s, err)
	}
	_, err := w.boot()
	must(t, err)
	if s, err := instance.Read(w.disk, w.config.ImageID, wire.NewUUID()); err != nil || !s.Foreign || !s.Disk().IsZero() {
		t.Errorf("of another: %+v, %v", s, err)
	}
	if s, err := instance.Read(w.disk, w.config.ImageID, w.id); err != nil || len(s.Disk().Sealed) != 1 || len(s.Disk().Generations) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	record, err := instancedisk.EncodeRecord(instancedisk.ID{Image: w.config.ImageID, Instance: w.id}, []byte("of another size"))
	must(t, err)
	copy(w.disk.durable[instancedisk.RecordAt(0):], record)
	copy(w.disk.durable[instancedisk.RecordAt(1):], record)
	if s, err := instance.Read(w.disk, w.config.ImageID, w.id); err != nil || len(s.Sealed) != 0 {
		t.Errorf("odd secret: %+v, %v", s, err)
	}
	for _, short := range []int64{instancedisk.RecordAt(1), instancedisk.GenerationAt(1)} {
		if _, err := instance.Read(bytes.NewReader(w.disk.durable[:short]), w.config.ImageID, w.id); !errors.Is(err, io.EOF) {
			t.Errorf("disk of %d bytes: %v", short, err)
		}
	}
}
