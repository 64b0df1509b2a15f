package convert

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestWhatInstancesNeed is in the measured configuration, and in front of the payload
// there is nothing in the way.
func TestWhatInstancesNeed(t *testing.T) {
	var recipients [2]string
	for i := range recipients {
		identity, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		recipients[i] = identity.Recipient().String()
	}
	first, second := recipients[0], recipients[1]
	for _, kind := range []string{bootconf.InitrdMinimal, bootconf.InitrdDistribution} {
		o, ingestion := tinyOptions(t, tinyImage(t, tinyTree(t)))
		o.Format, o.Initrd, o.EncryptFreeSpace = Raw, kind, true
		o.RecoveryRecipients = []string{"# vault\n" + first + "\n\n" + second + "\n", first}
		c, err := Convert(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		_, config := stagedInitrd(t, o)
		if want := []string{first, second, first}; !slices.Equal(config.RecoveryRecipients, want) || !slices.Equal(c.Recovery, want) {
			t.Errorf("%s: recipients %q and %q, want %q", kind, config.RecoveryRecipients, c.Recovery, want)
		}
		if !config.EncryptFreeSpace {
			t.Errorf("%s: only used blocks would be re-encrypted", kind)
		}
		if config.Root.PayloadOffset < instancedisk.End || c.Disk.PayloadOffset != config.Root.PayloadOffset {
			t.Errorf("%s: the payload begins at %d, in what an instance keeps", kind, config.Root.PayloadOffset)
		}
		opensWithTheServicesKey(t, o, c, ingestion, config.UnsealingKey)
		disk, err := os.ReadFile(o.Output)
		if err != nil {
			t.Fatal(err)
		}
		gap := disk[c.Disk.Partitions[0].Offset:][vmkrecord.Offset+vmkrecord.Size : luks2.PayloadOffset]
		if !allZero(gap) {
			t.Errorf("%s: there is something in the place of an instance's records", kind)
		}
	}
}

// opensWithTheServicesKey wants what is sealed to the measured key to be opened by the
// one that the service is given.
func opensWithTheServicesKey(t *testing.T, o *Options, c *staging.Conversion, ingestion *seal.PrivateKey, measured []byte) {
	t.Helper()
	sealed, err := os.ReadFile(filepath.Join(o.Staging, staging.NameUnsealingKey))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ingestion.Open(wire.UnsealingKeyInfo(c.ImageID), sealed)
	if err != nil {
		t.Fatal(err)
	}
	private, err := seal.ParsePrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	public, err := seal.ParsePublicKey(measured)
	if err != nil {
		t.Fatal(err)
	}
	secret, info := bytes.Repeat([]byte{7}, wire.GuestSecretSize), wire.GuestSecretInfo(c.ImageID, wire.NewUUID())
	box, err := public.Seal(info, secret)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := private.Open(info, box); err != nil || !bytes.Equal(opened, secret) {
		t.Errorf("the service cannot open what a guest seals: %v", err)
	}
}
