package convert

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// openedKeys goes the way of the service and returns the VMK.
func openedKeys(t *testing.T, o *Options, c *staging.Conversion, ingestion *seal.PrivateKey, part []byte) []byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{staging.NameSealedVMK, staging.NameUnsealingKey} {
		data, err := os.ReadFile(filepath.Join(o.Staging, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	if info, err := os.Stat(filepath.Join(o.Staging, staging.NameUnsealingKey)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the unsealing key may be read by others: %v, %v", info.Mode(), err)
	}
	onDisk, err := vmkrecord.Decode(part[vmkrecord.Offset:][:vmkrecord.Size], c.ImageID)
	if err != nil || !bytes.Equal(onDisk, files[staging.NameSealedVMK]) {
		t.Errorf("the record on the disk: %v", err)
	}
	private, err := ingestion.Open(wire.UnsealingKeyInfo(c.ImageID), files[staging.NameUnsealingKey])
	if err != nil {
		t.Fatal(err)
	}
	unsealing, err := seal.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	vmk, err := unsealing.Open(wire.SealedVMKInfo(c.ImageID), onDisk)
	if err != nil {
		t.Fatal(err)
	}
	header, err := luks2.Parse(bytes.NewReader(part))
	if err != nil || !header.Converted() {
		t.Errorf("LUKS2 header: %+v, %v", header, err)
	}
	return vmk
}

func recovery(t *testing.T, o *Options, identity age.Identity) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(o.Staging, staging.NameRecovery))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := age.Decrypt(f, identity)
	if err != nil {
		t.Fatal(err)
	}
	vmk, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return vmk
}

// decryptedFile reads a file of an encrypted root partition.
func decryptedFile(t *testing.T, part, vmk []byte, name string) string {
	t.Helper()
	payload := decrypted(t, part, vmk)
	root, err := ext4.Open(bytes.NewReader(payload), int64(len(payload)))
	if err != nil {
		t.Fatal(err)
	}
	content, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// decrypted returns the payload of a partition in clear.
func decrypted(t *testing.T, part, vmk []byte) []byte {
	t.Helper()
	header, err := luks2.Parse(bytes.NewReader(part))
	if err != nil {
		t.Fatal(err)
	}
	cipher, err := xts.New(vmk, header.SectorSize)
	if err != nil {
		t.Fatal(err)
	}
	payload := slices.Clone(part[luks2.PayloadOffset:])
	for at := 0; at+header.SectorSize <= len(payload); at += header.SectorSize {
		if sector := payload[at:][:header.SectorSize]; !allZero(sector) {
			cipher.Decrypt(sector, sector, int64(at))
		}
	}
	return payload
}
