package main

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// receiptDisk writes a raw disk of two partitions, the second of which has room for what
// an instance's disk holds, and these bytes where its receipt is.
func receiptDisk(path string, record []byte) error {
	const size = 32 << 20
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	t := &gpt.Table{SectorSize: 512, Partitions: []gpt.Partition{{Number: 1, First: 2048, Last: 4095, Name: "EFI"}, {Number: 2, First: 4096, Last: 51199, Name: "root"}}}
	for _, guid := range []*gpt.GUID{&t.DiskGUID, &t.Partitions[0].Type, &t.Partitions[0].GUID, &t.Partitions[1].Type, &t.Partitions[1].GUID} {
		if *guid, err = gpt.NewGUID(rand.Reader); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(record, 4096*512+instancedisk.ReceiptOffset); err != nil {
		return err
	}
	return t.Write(f, size)
}

// receiptsCommand is the script command "receipt IMAGE INSTANCE DISK RECEIPT": it writes
// a disk with a receipt of an instance that no service has signed, and the receipt alone.
func receiptsCommand(ts *testscript.TestScript, _ bool, args []string) {
	image, err := wire.ParseUUID(args[0])
	ts.Check(err)
	instance, err := wire.ParseUUID(args[1])
	ts.Check(err)
	record := instancedisk.EncodeReceipt(instancedisk.ID{Image: image, Instance: instance}, instancedisk.Receipt{Sealed: [32]byte{1}, Signature: [64]byte{2}})
	ts.Check(receiptDisk(ts.MkAbs(args[2]), record))
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), record, 0o600))
}

func TestReadReceipt(t *testing.T) {
	dir := t.TempDir()
	id := instancedisk.ID{Image: wire.NewUUID(), Instance: wire.NewUUID()}
	want := instancedisk.Receipt{Sealed: [32]byte{1, 2, 3}, Signature: [64]byte{4, 5, 6}}
	record := instancedisk.EncodeReceipt(id, want)
	disk, alone, empty, bare := filepath.Join(dir, "disk"), filepath.Join(dir, "receipt"), filepath.Join(dir, "empty"), filepath.Join(dir, "bare")
	for _, err := range []error{
		receiptDisk(disk, record), receiptDisk(empty, nil), os.WriteFile(alone, record, 0o600), os.WriteFile(bare, make([]byte, 1<<20), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		disk, file string
		id         instancedisk.ID
		err        error
	}{
		"disk": {disk, "", id, nil}, "file": {"", alone, id, nil},
		"another instance's disk": {disk, "", instancedisk.ID{Image: id.Image}, instancedisk.ErrID},
		"another instance's file": {"", alone, instancedisk.ID{Instance: id.Instance}, instancedisk.ErrID},
		"no receipt":              {empty, "", id, instancedisk.ErrForm},
		"file of another size":    {"", filepath.Join(dir, "none"), id, os.ErrNotExist},
		"no disk":                 {filepath.Join(dir, "none"), "", id, os.ErrNotExist},
	} {
		got, err := readReceipt(t.Context(), qemu.Files{Image: tc.disk}, tc.file, tc.id)
		if !errors.Is(err, tc.err) || err == nil && got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, wrong := range []qemu.Files{{Image: bare}, {Image: alone}} {
		if _, err := readReceipt(t.Context(), wrong, "", id); err == nil {
			t.Errorf("read from %s", wrong.Image)
		}
	}
	if _, err := readReceipt(t.Context(), qemu.Files{}, bare, id); err == nil {
		t.Error("a large file is a receipt")
	}
}
