package instance_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/guestcall"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/instance"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/instancetest"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/retry"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// world is an image, its service, and one instance's disk.
type world struct {
	t        testing.TB
	service  *instancetest.Service
	config   *bootconf.Config
	owner    *age.X25519Identity
	id       wire.UUID
	hostData [wire.HostDataSize]byte
	plain    []byte // the payload in clear
	golden   []byte // the disk as it was converted
	disk     *disk
	used     []used // parts of the payload that have to arrive

	// between is done between the unlock and what follows it.
	between func(grant *unlock.Result)
	grant   *unlock.Result // of the last boot
	paused  int
	patient bool
	first   *instance.First // of the last boot
	log     bytes.Buffer
}

type used struct{ offset, length int64 }

// newWorld has a small ext4, or what is given, in sectors of a size.
func newWorld(tb testing.TB, plain []byte, kind, uuid string) *world {
	tb.Helper()
	golden := make([]byte, wire.VMKSize)
	rand.Read(golden)
	owner, err := age.GenerateX25519Identity()
	must(tb, err)
	w := &world{t: tb, id: wire.NewUUID(), owner: owner, plain: plain}
	image := wire.NewUUID()
	w.service = instancetest.New(tb, image, w.id, golden)
	url, ca := w.service.Serve(tb)
	commitment := wire.VMKCommitment(image, golden)
	w.config = &bootconf.Config{
		Format: bootconf.Format, ImageID: image, Services: []string{url},
		CA:          string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})),
		IdentityKey: w.service.Identity.Public().(ed25519.PublicKey), VMKCommitment: hex.EncodeToString(commitment[:]),
		Root: bootconf.Root{
			PartitionGUID: wire.NewUUID().String(), SealedVMKOffset: 12 << 20, PayloadOffset: luks2.PayloadOffset, Cipher: bootconf.Cipher,
			SectorSize: xts.SmallSector, Filesystem: kind, FilesystemUUID: uuid, Mount: bootconf.Mount{Options: []string{}},
		},
		Network: bootconf.Network{Mode: bootconf.ModeDHCP}, Deadline: 60, Initrd: bootconf.InitrdMinimal, Modules: bootconf.ModulesRequired,
		UnsealingKey: w.service.Unsealing.Public().Bytes(), RecoveryRecipients: []string{owner.Recipient().String()},
	}
	must(tb, w.config.Validate())
	w.golden = make([]byte, luks2.PayloadOffset+len(plain))
	w.crypt(golden, w.golden[luks2.PayloadOffset:], plain, (*xts.Cipher).Encrypt)
	w.used = []used{{0, int64(len(plain))}}
	w.fresh()
	return w
}

// newExt4 is a world with a file system of so many MiB, and of what it uses.
func newExt4(tb testing.TB, mib int64, fileSize int) *world {
	tb.Helper()
	dir := tb.TempDir()
	content := make([]byte, fileSize)
	rand.Read(content)
	must(tb, os.WriteFile(filepath.Join(dir, "file"), content, 0o600))
	image := rootfstest.Make(tb, mib, dir, "-t", "ext4", "-b", "1024")
	plain, err := os.ReadFile(image)
	must(tb, err)
	w := newWorld(tb, plain, "ext4", rootfstest.UUID)
	volume, err := ext4.Open(bytes.NewReader(plain), int64(len(plain)))
	must(tb, err)
	w.used = nil
	for r, err := range volume.Used() {
		must(tb, err)
		w.used = append(w.used, used{r.Offset, r.Length})
	}
	return w
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// fresh is a copy of the golden disk under a new instance.
func (w *world) fresh() {
	w.disk = newDisk(w.golden)
	w.service.Add(w.id)
	w.hostData = wire.HostData(w.id)
}

func (w *world) crypt(key, dst, src []byte, do func(c *xts.Cipher, dst, src []byte, offset int64)) {
	c, err := xts.New(key, xts.SmallSector)
	must(w.t, err)
	do(c, dst, src, 0)
}

// row is the instance as the service has it.
func (w *world) row() *instancetest.Instance { return w.service.Instances[w.id] }

// launch is one launch: its reports have one REPORT_ID.
func (w *world) launch() (*report.Launch, error) {
	id := make([]byte, 32)
	rand.Read(id)
	return report.Identify(func(data [report.DataSize]byte) (*report.Evidence, error) {
		e := &report.Evidence{Report: make([]byte, report.Size), Provider: "fake"}
		copy(e.Report[instancetest.OffsetReportData:], data[:])
		copy(e.Report[instancetest.OffsetHostData:], w.hostData[:])
		copy(e.Report[instancetest.OffsetReportID:], id)
		return e, nil
	})
}

// boot is all that an agent does with an instance before init. It returns the key under
// which the root is opened.
func (w *world) boot() ([]byte, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	power := func(string) bool {
		if !w.disk.called() {
			return false
		}
		cancel()
		return true
	}
	w.service.Before, w.service.After = power, power
	launch, err := w.launch()
	must(w.t, err)
	shown, err := instance.Read(w.disk, w.config.ImageID, launch.Instance())
	must(w.t, err)
	session, err := unlock.New(w.config, launch, make([]byte, wire.SealedVMKSize), shown.Disk())
	must(w.t, err)
	loop := unlock.Loop{
		Backoff: retry.Backoff{First: time.Millisecond, Max: time.Millisecond},
		Paths:   func() []unlock.Path { return []unlock.Path{{Name: "eth0", Dial: (&net.Dialer{}).DialContext}} },
		Log: func(format string, args ...any) {
			w.note(format, args...)
			if !w.patient {
				cancel() // at the first refusal, which would only be repeated
			}
		},
	}
	if w.grant, err = session.Run(ctx, loop); err != nil {
		return nil, err
	}
	if w.between != nil {
		w.between(w.grant)
	}
	boot := instance.Boot{
		Config: w.config, Grant: w.grant, Shown: shown, Device: w.disk, Log: w.note,
		Call: func(ctx context.Context, kind wire.Call, body any, out guestcall.Answer) (guestcall.Call, error) {
			return session.Call(ctx, loop, kind, body, out)
		},
	}
	if w.grant.State == wire.StateReady {
		later := instance.Later{Boot: boot}
		_, err = later.Run(ctx)
		return w.grant.Volume, err
	}
	first := instance.First{Boot: boot, Size: int64(len(w.golden)), Pause: func(time.Duration) (alive, resume func()) {
		w.paused++
		return func() {}, func() { w.paused-- }
	}}
	w.first = &first
	key, _, err := first.Run(ctx)
	return key, err
}

func (w *world) note(format string, args ...any) { fmt.Fprintf(&w.log, format+"\n", args...) }

// arrived wants the payload under the key to be the golden one, byte by byte, in all that
// has to arrive, and nothing of that under the golden key.
func (w *world) arrived(key []byte) error {
	payload := w.disk.durable[luks2.PayloadOffset:]
	clear := make([]byte, len(payload))
	w.crypt(key, clear, payload, (*xts.Cipher).Decrypt)
	for _, u := range w.used {
		if !bytes.Equal(clear[u.offset:][:u.length], w.plain[u.offset:][:u.length]) {
			return fmt.Errorf("%d bytes at %d have not arrived", u.length, u.offset)
		}
		for at := u.offset; at < u.offset+u.length; at += sectorSize {
			if bytes.Equal(payload[at:][:sectorSize], w.golden[luks2.PayloadOffset+at:][:sectorSize]) {
				return fmt.Errorf("sector at %d is under the golden key", at)
			}
		}
	}
	return nil
}

// ready wants all that a ready instance has: key, payload, headers, generation, receipt and
// recovery, all of it durable.
func (w *world) ready(key []byte) error {
	row := w.row()
	if row.State != wire.StateReady {
		return fmt.Errorf("the instance is %s", row.State)
	}
	if len(w.disk.pending) > 0 {
		return fmt.Errorf("%d sectors are not durable", len(w.disk.pending))
	}
	if err := w.arrived(key); err != nil {
		return err
	}
	header, err := luks2.Parse(bytes.NewReader(w.disk.durable))
	if err != nil || header.UUID != [16]byte(w.id) || !header.Converted() {
		return fmt.Errorf("LUKS2 header %+v, %w", header, err)
	}
	return w.kept(key, row)
}

func (w *world) kept(key []byte, row *instancetest.Instance) error {
	of := instancedisk.ID{Image: w.config.ImageID, Instance: w.id}
	found, err := instance.Read(w.disk, w.config.ImageID, w.id)
	if err != nil || len(found.Sealed) != 1 || sha256.Sum256(found.Sealed[0]) != row.Sealed {
		return fmt.Errorf("%d records, %w", len(found.Sealed), err)
	}
	number, _, err := instancedisk.Newest(found.Generations, func(g instancedisk.Generation) bool {
		mac, err := wire.GenerationMAC(key, w.config.ImageID, w.id, g.Number)
		return err == nil && mac == g.MAC
	})
	if err != nil || number != row.Generation {
		return fmt.Errorf("generation %d on the disk, %d at the service: %w", number, row.Generation, err)
	}
	receipt, err := instancedisk.DecodeReceipt(w.disk.durable[instancedisk.ReceiptOffset:][:instancedisk.ReceiptSize], of)
	if err != nil || receipt.Sealed != row.Sealed ||
		!ed25519.Verify(w.config.IdentityKey, wire.ReceiptTranscript(w.config.ImageID, w.id, row.Sealed), receipt.Signature[:]) {
		return fmt.Errorf("receipt %x, %w", receipt, err)
	}
	recovery, err := instancedisk.DecodeRecovery(w.disk.durable[instancedisk.RecoveryOffset:][:instancedisk.RecoverySize], of)
	if err != nil || recovery.Sealed != row.Sealed || !w.recovers(recovery.Encrypted, key) || !w.recovers(row.Recovery, key) {
		return fmt.Errorf("the owner does not recover the key: %w", err)
	}
	return nil
}

// recovers reports whether the owner opens an age file to the key.
func (w *world) recovers(file, key []byte) bool {
	r, err := age.Decrypt(bytes.NewReader(file), w.owner)
	if err != nil {
		return false
	}
	var opened bytes.Buffer
	_, err = opened.ReadFrom(r)
	return err == nil && bytes.Equal(opened.Bytes(), key)
}
