package dmcrypt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeControl is the kernel: it keeps what it was given.
type fakeControl struct {
	fail  uint // the command that fails
	calls []uint
	seen  map[uint][]byte // as the kernel sees the arguments
	live  map[uint][]byte // the very memory of the agent
}

func (f *fakeControl) Call(command uint, arguments []byte) error {
	f.calls = append(f.calls, command)
	f.seen[command], f.live[command] = bytes.Clone(arguments), arguments
	if command == f.fail {
		return unix.EINVAL
	}
	if command == commandCreate {
		binary.LittleEndian.PutUint64(arguments[offDev:], 253<<8|0x34|0x12<<20) // minor 0x1234
	}
	return nil
}

func newControl(fail uint) *fakeControl {
	return &fakeControl{fail: fail, seen: map[uint][]byte{}, live: map[uint][]byte{}}
}

func target() Target {
	return Target{Major: 254, Minor: 1, Size: 100<<20 + 512*3, PayloadOffset: 16 << 20, Cipher: "aes-xts-plain64", SectorSize: 4096}
}

func key() []byte { return bytes.Repeat([]byte{0xAB, 0x01}, 32) }

// TestCreate holds the bytes that the kernel gets: its header files give the
// offsets, its documentation the table.
func TestCreate(t *testing.T) {
	c := newControl(0)
	d, err := Create(c, target(), key())
	if err != nil || d.Major != 253 || d.Minor != 0x1234 || d.Name() != "dm-4660" {
		t.Fatalf("%v, %+v", err, d)
	}
	create := c.seen[0xC138FD03]
	if len(create) != 312 || !bytes.HasPrefix(create[48:], []byte("cryptroot\x00")) || !bytes.HasPrefix(create[176:], []byte("CRYPT-PLAIN-cryptroot\x00")) {
		t.Errorf("create: % x", create)
	}
	load := c.seen[0xC138FD09]
	spec := load[312:]
	if binary.LittleEndian.Uint32(load[12:]) != uint32(len(load)) || binary.LittleEndian.Uint32(load[16:]) != 312 || binary.LittleEndian.Uint32(load[20:]) != 1 {
		t.Errorf("load: % x", load[:48])
	}
	if binary.LittleEndian.Uint32(load[28:])&(1<<15) == 0 {
		t.Error("the kernel is not told to wipe the key")
	}
	if start, length := binary.LittleEndian.Uint64(spec), binary.LittleEndian.Uint64(spec[8:]); start != 0 || length != 84<<20/512 {
		t.Errorf("sectors %d to %d", start, length)
	}
	if len(load)%8 != 0 || string(spec[24:40]) != "crypt\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" {
		t.Errorf("target % x", spec[:40])
	}
	want := "aes-xts-plain64 " + hex.EncodeToString(key()) + " 0 254:1 32768 1 sector_size:4096\x00"
	if got := string(spec[40 : 40+len(want)]); got != want {
		t.Errorf("table %q, want %q", got, want)
	}
	if len(c.seen[0xC138FD06]) != 312 || c.calls[len(c.calls)-1] != 0xC138FD06 {
		t.Errorf("calls %x", c.calls)
	}
}

// TestSmallSectors has the device end with the partition, not with 4096 bytes: a file
// system that needs such sectors may use the last of them.
func TestSmallSectors(t *testing.T) {
	tg := target()
	tg.SectorSize = 512
	if n, err := tg.sectors(); n != 84<<20/512+3 || err != nil {
		t.Errorf("%d sectors, %v", n, err)
	}
	if text := string(tg.params(key())); !strings.HasSuffix(text, " 0 254:1 32768 1 sector_size:512") {
		t.Errorf("table %q", text[len(text)-60:])
	}
}

func TestDiscardsOnlyWhenAsked(t *testing.T) {
	tg := target()
	tg.AllowDiscards = true
	if text := string(tg.params(key())); !strings.HasSuffix(text, " 2 sector_size:4096 allow_discards") {
		t.Errorf("table %q", text[len(text)-60:])
	}
}

func TestKeyIsWiped(t *testing.T) {
	for _, fail := range []uint{0, commandLoad, commandResume} {
		c := newControl(fail)
		_, _ = Create(c, target(), key())
		if !bytes.Equal(c.live[commandLoad], make([]byte, len(c.live[commandLoad]))) {
			t.Errorf("failing %#x: the arguments with the key are left", fail)
		}
	}
	// A growing buffer would leave copies behind.
	if text := target().params(key()); cap(text) != 512 || len(text) > 512 {
		t.Errorf("%d bytes in %d", len(text), cap(text))
	}
}

func TestFailuresLeaveNoDevice(t *testing.T) {
	for fail, removed := range map[uint]bool{commandCreate: false, commandLoad: true, commandResume: true} {
		c := newControl(fail)
		if _, err := Create(c, target(), key()); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%#x: got %v", fail, err)
		}
		if got := c.seen[commandRemove] != nil; got != removed {
			t.Errorf("%#x: removed %v, want %v", fail, got, removed)
		}
	}
	if err := Remove(newControl(commandRemove)); !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v", err)
	}
}

func TestPartitionsWithoutRoom(t *testing.T) {
	for _, size := range []int64{0, 16 << 20, 16<<20 + 4095} {
		tg := target()
		tg.Size = size
		c := newControl(0)
		if _, err := Create(c, tg, key()); err == nil || len(c.calls) != 0 {
			t.Errorf("%d bytes: %v after %d calls", size, err, len(c.calls))
		}
	}
}

func TestLongNames(t *testing.T) {
	if _, err := message(strings.Repeat("x", 128), "", 0); err == nil {
		t.Error("a name of 128 bytes was taken")
	}
	if _, err := message("", strings.Repeat("x", 129), 0); err == nil {
		t.Error("a UUID of 129 bytes was taken")
	}
}

func TestNoDeviceMapper(t *testing.T) {
	if _, err := Open(t.TempDir() + "/control"); err == nil {
		t.Error("opened what is not there")
	}
}
