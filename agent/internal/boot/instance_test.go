package boot

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/instancetest"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/retry"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/timeline"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// instanceComputer has a golden disk, whose file system has 4 MiB and begins at 16 MiB.
type instanceComputer struct {
	*computer
	service *instancetest.Service
	config  *bootconf.Config
	id      wire.UUID
}

func newInstanceComputer(t *testing.T) *instanceComputer {
	t.Helper()
	c, _ := newComputer(t)
	i := &instanceComputer{computer: c, id: wire.NewUUID(), config: config(false)}
	golden := make([]byte, wire.VMKSize)
	rand.Read(golden)
	i.service = instancetest.New(t, i.config.ImageID, i.id, golden)
	url, ca := i.service.Serve(t)
	commitment := wire.VMKCommitment(i.config.ImageID, golden)
	i.config.Services, i.config.CA = []string{url}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca}))
	i.config.IdentityKey, i.config.VMKCommitment = i.service.Identity.Public().(ed25519.PublicKey), hex.EncodeToString(commitment[:])
	i.config.UnsealingKey, i.config.Root.FilesystemUUID = i.service.Unsealing.Public().Bytes(), rootfstest.UUID
	plain, err := os.ReadFile(rootfstest.Make(t, 4, "", "-t", "ext4", "-b", "4096"))
	if err != nil {
		t.Fatal(err)
	}
	disk := make([]byte, partitionSize)
	record, err := vmkrecord.Encode(i.config.ImageID, bytes.Repeat([]byte{7}, wire.SealedVMKSize))
	if err != nil {
		t.Fatal(err)
	}
	copy(disk[vmkrecord.Offset:], record)
	i.crypt(golden, disk[16<<20:], plain, (*xts.Cipher).Encrypt)
	c.disk("vda")
	c.write("dev/vda1", disk)
	c.write("dev/dm-3", nil)
	return i
}

func (i *instanceComputer) crypt(key, dst, src []byte, do func(c *xts.Cipher, dst, src []byte, offset int64)) {
	i.t.Helper()
	c, err := xts.New(key, xts.LargeSector)
	if err != nil {
		i.t.Fatal(err)
	}
	do(c, dst, src, 0)
}

// boot is a boot of this computer as far as the grant.
func (i *instanceComputer) boot(hostData [wire.HostDataSize]byte) (*Boot, error) {
	i.t.Helper()
	_, b := newComputer(i.t)
	b.Machine.Root, b.Log, b.config = i.dir, timeline.New(&i.log, time.Now), i.config
	b.Machine.Providers = []report.Provider{firmware{hostData}}
	b.Machine.Mapper = func(string) (Mapper, error) { return (*mapper)(i.computer), nil }
	if err := errors.Join(b.findRoot(i.t.Context()), b.makeSession(i.t.Context())); err != nil {
		return b, err
	}
	b.net = b.Machine.Network(i.t.Logf)
	var err error
	b.grant, err = b.session.Run(i.t.Context(), unlock.Loop{
		Backoff: retry.Backoff{First: time.Millisecond, Max: time.Millisecond},
		Paths:   func() []unlock.Path { return []unlock.Path{{Name: "eth0", Dial: (&net.Dialer{}).DialContext}} },
		Log:     i.t.Logf,
	})
	if err != nil {
		return b, err
	}
	return b, b.granted()
}

// limited has steps done as in a boot, with a deadline.
func (b *Boot) limited(steps ...Step) bool { return b.runSteps(steps) }

// TestInstanceBoots has a first boot and a later one: the key that opens the root, what the
// running system has of it, and no key left in memory.
func TestInstanceBoots(t *testing.T) {
	c := newInstanceComputer(t)
	before, err := os.ReadFile(filepath.Join(c.dir, "dev/vda1"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.boot(wire.HostData(c.id))
	if err != nil || b.key != nil {
		t.Fatalf("%v, opened with a key of %d bytes", err, len(b.key))
	}
	golden := b.grant.Golden
	if !b.limited(Step{"instance", b.firstBoot}) {
		t.Fatalf("log: %s", c.log)
	}
	c.wiped("re-encryption", golden)
	first := bytes.Clone(b.key)
	after, err := os.ReadFile(filepath.Join(c.dir, "dev/vda1"))
	if err != nil || bytes.Equal(before[16<<20:][:4096], after[16<<20:][:4096]) || b.state != wire.StateReady || b.generation != 1 {
		t.Errorf("%v, %s, generation %d", err, b.state, b.generation)
	}
	was, is := make([]byte, 4096), make([]byte, 4096)
	c.crypt(c.service.Golden, was, before[16<<20:][:4096], (*xts.Cipher).Decrypt)
	c.crypt(first, is, after[16<<20:][:4096], (*xts.Cipher).Decrypt)
	if !bytes.Equal(was, is) {
		t.Error("the file system is another one")
	}
	key := b.key
	if err := b.openRoot(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.wiped("first boot", golden, key)

	b, err = c.boot(wire.HostData(c.id))
	if err != nil || !bytes.Equal(b.key, first) {
		t.Fatalf("%v, another key", err)
	}
	key = b.key
	if err := b.openRoot(t.Context()); err != nil || bytes.Equal(key, make([]byte, len(key))) {
		t.Fatalf("%v, or the key is gone before the generation", err)
	}
	if err := b.raiseGeneration(t.Context()); err != nil || b.generation != 2 || c.service.Instances[c.id].Generation != 2 {
		t.Errorf("%v, generation %d", err, b.generation)
	}
	c.wiped("later boot", key)
	c.left(b)
}

// TestGoldenKeyIsLost boots a ready instance whose disk has lost the image's sealed key,
// which is of no use to it any more. A golden disk that has lost it stops.
func TestGoldenKeyIsLost(t *testing.T) {
	c := newInstanceComputer(t)
	lose := func() {
		disk, err := os.ReadFile(filepath.Join(c.dir, "dev/vda1"))
		if err != nil {
			t.Fatal(err)
		}
		clear(disk[vmkrecord.Offset:][:vmkrecord.Size])
		c.write("dev/vda1", disk)
	}
	b, err := c.boot(wire.HostData(c.id))
	if err != nil || !b.limited(Step{"instance", b.firstBoot}) {
		t.Fatalf("%v, log: %s", err, c.log)
	}
	first := bytes.Clone(b.key)
	lose()
	if b, err = c.boot(wire.HostData(c.id)); err != nil || !bytes.Equal(b.key, first) || b.state != wire.StateReady {
		t.Errorf("%v, or another key", err)
	}
	c = newInstanceComputer(t)
	lose()
	if _, err = c.boot(wire.HostData(c.id)); !errors.Is(err, vmkrecord.ErrRecord) {
		t.Errorf("a golden disk: %v", err)
	}
}

// wiped wants keys to be gone.
func (i *instanceComputer) wiped(when string, keys ...[]byte) {
	i.t.Helper()
	for _, key := range keys {
		if len(key) == 0 || !bytes.Equal(key, make([]byte, len(key))) {
			i.t.Errorf("%s: a key of %d bytes is left", when, len(key))
		}
	}
}

// left wants the boot key and the status in /run.
func (i *instanceComputer) left(b *Boot) {
	i.t.Helper()
	i.write(bootconf.PathAgent, nil)
	i.write(bootconf.PathConfig, nil)
	if err := b.leaveInRun(); err != nil {
		i.t.Fatal(err)
	}
	s, err := status.Read(filepath.Join(i.dir, status.Path))
	if err != nil || s.Instance == nil || *s.Instance != (status.Instance{ID: i.id, State: wire.StateReady, Generation: 2}) {
		i.t.Errorf("%v, status %+v", err, s)
	}
	path := filepath.Join(i.dir, bootconf.PathBootKey)
	text, err := os.ReadFile(path)
	if err != nil || string(text) != hex.EncodeToString(b.session.BootKey().Seed())+"\n" {
		i.t.Errorf("boot key: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		i.t.Errorf("boot key: %v, %v", info, err)
	}
}

// TestNoInstance goes on as ever where the image has none, whatever the host names, and
// leaves no boot key.
func TestNoInstance(t *testing.T) {
	c := newInstanceComputer(t)
	c.service.None = true
	for _, hostData := range [][wire.HostDataSize]byte{{}, wire.HostData(c.id)} {
		b, err := c.boot(hostData)
		if err != nil || b.state != wire.StateNone || !bytes.Equal(b.key, c.service.Golden) {
			t.Fatalf("%v, %s", err, b.state)
		}
		c.write(bootconf.PathAgent, nil)
		c.write(bootconf.PathConfig, nil)
		if err := errors.Join(b.leaveInRun(), os.Remove(filepath.Join(c.dir, bootconf.PathRunAgent)), os.Remove(filepath.Join(c.dir, bootconf.PathRunConfig))); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(c.dir, bootconf.PathBootKey)); err == nil {
			t.Error("a boot key is left")
		}
	}
}

// TestDistributionHasNoInstances refuses an instance before anything is written.
func TestDistributionHasNoInstances(t *testing.T) {
	c := newInstanceComputer(t)
	c.config.Initrd = bootconf.InitrdDistribution
	if _, err := c.boot(wire.HostData(c.id)); !errors.Is(err, errDistribution) || c.service.Instances[c.id].State != wire.StateNew {
		t.Errorf("%v", err)
	}
}

// TestForeignDisk says that the disk is another instance's.
func TestForeignDisk(t *testing.T) {
	c := newInstanceComputer(t)
	b, err := c.boot(wire.HostData(c.id))
	if err != nil || !b.limited(Step{"instance", b.firstBoot}) {
		t.Fatalf("%v, log: %s", err, c.log)
	}
	other := wire.NewUUID()
	c.service.Add(other)
	c.service.Instances[other].State = wire.StateReady
	if _, err := c.boot(wire.HostData(other)); err == nil || !strings.Contains(strings.Join(c.log, "\n"), "the disk is another instance's") {
		t.Errorf("%v, log: %s", err, c.log)
	}
}

// TestNoDevice is a root partition that cannot be opened.
func TestNoDevice(t *testing.T) {
	c := newInstanceComputer(t)
	b, err := c.boot(wire.HostData(c.id))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(b.root.Path); err != nil {
		t.Fatal(err)
	}
	for _, do := range []func(context.Context) error{b.firstBoot, b.raiseGeneration, func(context.Context) error { return b.readShown(c.id) }} {
		if err := do(t.Context()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v", err)
		}
	}
}

// TestPausedDeadline lets a re-encryption take longer than the deadline while it gets on, and
// not a moment more afterwards; one that is stuck ends the boot.
func TestPausedDeadline(t *testing.T) {
	for _, tc := range []struct {
		chunks int
		each   time.Duration
		after  time.Duration // which the next steps take
		want   string
		took   time.Duration
	}{
		{100, 50 * time.Second, 49 * time.Second, "", 10*time.Second + 5000*time.Second + 49*time.Second},
		{100, 50 * time.Second, time.Hour, "the deadline of 1m0s has passed", time.Minute + 5000*time.Second},
		{2, 2 * time.Minute, 0, "the disk has not got on for 1m0s", 70 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			out := &lines{}
			b := &Boot{Log: timeline.New(out, time.Now), config: &bootconf.Config{Deadline: 60}}
			began := time.Now()
			wait := func(ctx context.Context, d time.Duration) error {
				if !retry.Sleep(ctx, d) {
					return context.Cause(ctx)
				}
				return nil
			}
			if b.limited(Step{"disk", func(ctx context.Context) error { return wait(ctx, 10*time.Second) }}, Step{"instance", func(ctx context.Context) error {
				alive, resume := b.pauseDeadline(time.Minute)
				defer resume()
				for range tc.chunks {
					if err := wait(ctx, tc.each); err != nil {
						return err
					}
					alive()
				}
				return nil
			}}) {
				b.limited(Step{"root", func(ctx context.Context) error { return wait(ctx, tc.after) }})
			}
			if took := time.Since(began); took != tc.took || !strings.Contains(strings.Join(*out, ""), tc.want) || (tc.want == "") != (len(*out) == 0) {
				t.Errorf("after %v, want %v: %q", took, tc.took, *out)
			}
		})
	}
}
