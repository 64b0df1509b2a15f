//go:build e2e

package e2e

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// refusedKey wants a launch to be given no key, for this reason, and to power off.
func refusedKey(t *testing.T, h *host, reason string) {
	t.Helper()
	poweredOff(t, h.boot(t), `unlock: .*denied by the service \(request ([0-9a-f-]+)\)`)
	denied(t, h, reason)
}

// TestHostData launches the golden disk with what a host may choose as HOST_DATA: no
// system runs under the golden key, nor as an instance that is not of this image.
func TestHostData(t *testing.T) {
	c, bundle := withInstances(t)
	other := smallNamed(t, "debian", "instances-other")
	stranger := newInstance(t, other, registered(t, "instances-other", other, "--instances", "named"), "stranger")
	switched := newInstance(t, c, bundle, "switched-off")
	snpguard(t, "instance", "disable", switched.name)
	for name, tc := range map[string]struct {
		data   [32]byte
		reason string
	}{
		"zero":                      {[32]byte{}, "instance_required"},
		"a UUID without the mark":   {[32]byte(append(make([]byte, 16), switched.id[:]...)), "instance_required"},
		"unknown":                   {wire.HostData(wire.NewUUID()), "instance_unknown"},
		"instance of another image": {wire.HostData(stranger.id), "instance_unknown"},
		"disabled":                  {wire.HostData(switched.id), "instance_disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, c, bundle)
			h.hostData = tc.data
			refusedKey(t, h, tc.reason)
		})
	}
}

// hostsSecret seals a secret of the host's to the image's public key, which stands in the
// initrd, and puts it on the disk as an instance record.
func (i *instance) hostsSecret(t *testing.T) (secret, sealed []byte) {
	t.Helper()
	f, err := os.Open(filepath.Join(i.Staging, staging.NameInitrd))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	segment, _, err := initrd.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	config, err := bootconf.Parse(segment.Config)
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.ParsePublicKey(config.UnsealingKey)
	if err != nil {
		t.Fatal(err)
	}
	secret = make([]byte, wire.GuestSecretSize)
	rand.Read(secret)
	if sealed, err = key.Seal(wire.GuestSecretInfo(i.Conversion.ImageID, i.id), secret); err != nil {
		t.Fatal(err)
	}
	i.putRecord(t, sealed)
	return secret, sealed
}

// putRecord writes both copies of the instance record.
func (i *instance) putRecord(t *testing.T, sealed []byte) {
	t.Helper()
	record, err := instancedisk.EncodeRecord(i.onDisk(), sealed)
	if err != nil {
		t.Fatal(err)
	}
	for number := range 2 {
		i.partition(t).write(t, record, instancedisk.RecordAt(number))
	}
}

// becomesReady boots it to the end of its first boot and of its init.
func (i *instance) becomesReady(t *testing.T) *wire.Instance {
	t.Helper()
	v := i.host(t).boot(t)
	readied(t, v)
	told(t, v)
	ended(t, v)
	return i.in(t, wire.StateReady)
}

// TestHostsOwnRoot has the host make the guest's secret, which the image's public key lets
// anybody seal. Of a new instance it is ignored and overwritten, whatever root is
// put under it; to a claimed or ready one it is no record of that instance.
func TestHostsOwnRoot(t *testing.T) {
	c, bundle := withInstances(t)
	t.Run("new", func(t *testing.T) {
		t.Parallel()
		i := newInstance(t, c, bundle, "own-record")
		_, sealed := i.hostsSecret(t)
		row := i.becomesReady(t)
		if sum := sha256.Sum256(sealed); row.Sealed == hex.EncodeToString(sum[:]) {
			t.Error("the instance is claimed by the host's secret")
		}
		if sum := sha256.Sum256(i.sealed(t)); row.Sealed != hex.EncodeToString(sum[:]) {
			t.Error("the record on the disk is not that of the claim")
		}
	})
	t.Run("new, with a root", func(t *testing.T) {
		t.Parallel()
		i := newInstance(t, c, bundle, "own-root")
		secret, _ := i.hostsSecret(t)
		i.hostsRoot(t, secret)
		poweredOff(t, i.host(t).boot(t), `instance: look for the golden file system: `)
		i.in(t, wire.StateNew)
	})
	t.Run("claimed and ready", func(t *testing.T) {
		t.Parallel()
		claimedByOther(t, newInstance(t, c, bundle, "own-record-later"))
	})
}

// hostsRoot puts a file system of the host's under the key that its secret would give,
// if it knew the share.
func (i *instance) hostsRoot(t *testing.T, secret []byte) {
	t.Helper()
	key, err := wire.VolumeKey(secret, make([]byte, wire.KeyShareSize), i.Conversion.ImageID, i.id)
	if err != nil {
		t.Fatal(err)
	}
	cipher, err := xts.New(key, xts.LargeSector)
	if err != nil {
		t.Fatal(err)
	}
	s := i.partition(t)
	root := s.attackersRoot(t)
	cipher.Encrypt(root, root, 0)
	s.write(t, root, s.c.Disk.PayloadOffset)
}

// claimedByOther shows the host's record to the service while the instance is claimed, and
// when it is ready, and then a golden copy with that record. What was there comes back,
// and the guest goes on.
func claimedByOther(t *testing.T, i *instance) {
	t.Helper()
	h := i.host(t)
	slow(h, "8388608")
	v := h.boot(t)
	expect(t, v, `snpguard: .* instance: \d+ of \d+ MiB are`, untilReady)
	v.Kill()
	claim := i.in(t, wire.StateClaimed).Sealed
	own := i.sealed(t)
	i.hostsSecret(t)
	refusedKey(t, i.host(t), "instance_key")
	i.putRecord(t, own)
	if row := i.becomesReady(t); row.Sealed != claim {
		t.Error("the claim has changed")
	}
	disk := i.Image
	i.Image = copyOf(t, i.golden)
	refusedKey(t, i.host(t), "instance_key")
	i.hostsSecret(t)
	refusedKey(t, i.host(t), "instance_key")
	i.Image = disk
	i.in(t, wire.StateReady)
	ended(t, i.host(t).boot(t))
}
