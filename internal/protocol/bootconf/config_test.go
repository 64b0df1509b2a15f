package bootconf_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func ca(tb testing.TB) string {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func identityKey() ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
}

func config(tb testing.TB) *bootconf.Config {
	return &bootconf.Config{
		Format:        bootconf.Format,
		ImageID:       wire.UUID{1},
		Services:      []string{"https://attest.example.org:8443"},
		CA:            ca(tb),
		IdentityKey:   identityKey(),
		VMKCommitment: strings.Repeat("ab", 32),
		Root: bootconf.Root{
			PartitionGUID:   "9f0f1f5e-3f6d-4b4e-9a35-0123456789ab",
			SealedVMKOffset: 12 << 20,
			PayloadOffset:   16 << 20,
			Cipher:          bootconf.Cipher,
			SectorSize:      4096,
			Filesystem:      "ext4",
			FilesystemUUID:  "0f0f1f5e-3f6d-4b4e-9a35-0123456789ab",
			Mount:           bootconf.Mount{ReadOnly: true, Options: []string{"errors=remount-ro"}},
		},
		Network:  bootconf.Network{Mode: bootconf.ModeDHCP},
		Deadline: 900,
		Initrd:   bootconf.InitrdMinimal,
		Modules:  bootconf.ModulesRequired,

		UnsealingKey:       make([]byte, wire.PublicKeySize),
		RecoveryRecipients: []string{"age1" + strings.Repeat("q", 58), "age1pq1" + strings.Repeat("z", 1952)},
		EncryptFreeSpace:   true,
	}
}

func TestEncodedIsParsed(t *testing.T) {
	in := config(t)
	first, err := in.Encode()
	if err != nil {
		t.Fatal(err)
	}
	second, err := in.Encode()
	if err != nil || !bytes.Equal(first, second) {
		t.Fatalf("the same configuration gave other bytes: %v", err)
	}
	out, err := bootconf.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(in, out) {
		t.Errorf("parsed\n%+v\nfrom\n%+v", out, in)
	}
}

func TestEveryFieldIsChecked(t *testing.T) {
	for field, damage := range map[string]func(*bootconf.Config){
		"format":            func(c *bootconf.Config) { c.Format = 2 },
		"image_id":          func(c *bootconf.Config) { c.ImageID = wire.UUID{} },
		"services: 0":       func(c *bootconf.Config) { c.Services = nil },
		"http://":           func(c *bootconf.Config) { c.Services = []string{"http://plain.example.org"} },
		"user@":             func(c *bootconf.Config) { c.Services = []string{"https://user@example.org"} },
		"ca":                func(c *bootconf.Config) { c.CA = "none" },
		"identity_key":      func(c *bootconf.Config) { c.IdentityKey = c.IdentityKey[1:] },
		"small order":       func(c *bootconf.Config) { c.IdentityKey = make([]byte, 32) },
		"vmk_commitment":    func(c *bootconf.Config) { c.VMKCommitment = "" },
		"partition_guid":    func(c *bootconf.Config) { c.Root.PartitionGUID = "../../sda" },
		"sealed_vmk_offset": func(c *bootconf.Config) { c.Root.SealedVMKOffset = 1 },
		"payload_offset":    func(c *bootconf.Config) { c.Root.PayloadOffset = c.Root.SealedVMKOffset },
		"cipher":            func(c *bootconf.Config) { c.Root.Cipher = "cipher_null-ecb" },
		"sector_size":       func(c *bootconf.Config) { c.Root.SectorSize = 1024 },
		"filesystem \"":     func(c *bootconf.Config) { c.Root.Filesystem = "vfat" },
		"filesystem_uuid":   func(c *bootconf.Config) { c.Root.FilesystemUUID = "" },
		"mode":              func(c *bootconf.Config) { c.Network.Mode = "" },
		"mac":               func(c *bootconf.Config) { c.Network.MAC = "x" },
		"needs addresses":   func(c *bootconf.Config) { c.Network.Mode = bootconf.ModeStatic },
		"are for mode":      func(c *bootconf.Config) { c.Network.DNS = []string{"192.0.2.1"} },
		"of a family": func(c *bootconf.Config) {
			c.Network = bootconf.Network{Mode: bootconf.ModeStatic, Addresses: []string{"192.0.2.2/32"}, Gateways: []string{"192.0.2.1", "192.0.2.3"}}
		},
		"addresses: ": func(c *bootconf.Config) {
			c.Network = bootconf.Network{Mode: bootconf.ModeStatic, Addresses: []string{"192.0.2.2"}}
		},
		"gateways: ": func(c *bootconf.Config) {
			c.Network = bootconf.Network{Mode: bootconf.ModeStatic, Addresses: []string{"192.0.2.2/32"}, Gateways: []string{"x"}}
		},
		"dns: ": func(c *bootconf.Config) {
			c.Network = bootconf.Network{Mode: bootconf.ModeStatic, Addresses: []string{"192.0.2.2/32"}, DNS: []string{"x"}}
		},
		"deadline":               func(c *bootconf.Config) { c.Deadline = 0 },
		"initrd":                 func(c *bootconf.Config) { c.Initrd = "none" },
		"modules":                func(c *bootconf.Config) { c.Modules = "" },
		"unsealing_key":          func(c *bootconf.Config) { c.UnsealingKey = c.UnsealingKey[1:] },
		"unsealing_key: ":        func(c *bootconf.Config) { c.UnsealingKey = bytes.Repeat([]byte{0xFF}, wire.PublicKeySize) },
		"recovery_recipients":    func(c *bootconf.Config) { c.RecoveryRecipients = make([]string, 65) },
		"number 2 is not an age": func(c *bootconf.Config) { c.RecoveryRecipients[1] = "AGE-SECRET-KEY-1" },
		"journal_path":           func(c *bootconf.Config) { c.Root.Mount.Options = []string{"journal_path=/dev/vdb"} },
		"subvol":                 func(c *bootconf.Config) { c.Root.Mount.Options = []string{"subvol=@"} }, // ext4 has none
		"character":              func(c *bootconf.Config) { c.Root.Mount.Options = []string{"errors=remount-ro,noload"} },
	} {
		c := config(t)
		damage(c)
		_, err := c.Encode()
		if !errors.Is(err, bootconf.ErrConfig) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestLooseDocumentsAreRefused(t *testing.T) {
	good, err := config(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, encoded := range map[string][]byte{
		"unknown field": bytes.Replace(good, []byte(`"format"`), []byte(`"shell": true, "format"`), 1),
		"field twice":   bytes.Replace(good, []byte(`"format"`), []byte(`"ca": "", "format"`), 1),
		"other case":    bytes.Replace(good, []byte(`"ca"`), []byte(`"CA"`), 1),
		"long s":        bytes.Replace(good, []byte(`"services"`), []byte(`"ſervices"`), 1),
		"two documents": append(bytes.Clone(good), good...),
		"too large":     append(bytes.Clone(good), bytes.Repeat([]byte(" "), bootconf.MaxSize)...),
		"empty":         nil,
	} {
		if _, err := bootconf.Parse(encoded); !errors.Is(err, bootconf.ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	good, err := config(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, encoded []byte) {
		c, err := bootconf.Parse(encoded)
		if err != nil {
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatalf("parsed but not encoded: %v", err)
		}
		if _, err := bootconf.Parse(again); err != nil {
			t.Fatalf("encoded but not parsed: %v", err)
		}
	})
}
