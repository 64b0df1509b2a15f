package convert

import (
	"crypto/rand"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Packages that do not know each other say the same of the disk.
func TestConstantsAgree(t *testing.T) {
	for name, equal := range map[string]bool{
		"cipher of agent and header":              bootconf.Cipher == luks2.Cipher,
		"key of core and protocol":                xts.KeySize == wire.VMKSize,
		"record behind the keyslots":              vmkrecord.Offset >= luks2.KeyslotsEnd,
		"record in front of the payload":          vmkrecord.Offset+vmkrecord.Size <= luks2.PayloadOffset,
		"records of an instance behind that one":  instancedisk.RecordAt(0) >= vmkrecord.Offset+vmkrecord.Size,
		"payload behind what an instance keeps":   luks2.PayloadOffset >= instancedisk.End,
		"payload on whole sectors":                luks2.PayloadOffset%xts.LargeSector == 0,
		"payload on whole clusters of the output": luks2.PayloadOffset%clusterSize == 0 && alignment%clusterSize == 0,
		"chunks of whole clusters":                chunkSize%clusterSize == 0,
		"words for cloud-init":                    CloudInitNone == harden.CloudInitNone && CloudInitKeep == harden.CloudInitKeep,
	} {
		if !equal {
			t.Errorf("%s: do not agree", name)
		}
	}
	for _, size := range []int{xts.SmallSector, xts.LargeSector} {
		if _, err := luks2.Encode(wire.NewUUID(), make([]byte, xts.KeySize), size, rand.Reader); err != nil {
			t.Errorf("sectors of core and header: %v", err)
		}
	}
	if _, err := vmkrecord.Encode(wire.NewUUID(), make([]byte, wire.SealedVMKSize)); err != nil {
		t.Errorf("a sealed VMK does not fit its record: %v", err)
	}
}
