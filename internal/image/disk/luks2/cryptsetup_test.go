package luks2_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/tool"
)

// disk is an encrypted partition in a file of its own, without a loop device or
// device-mapper: cryptsetup needs neither for what it is asked here.
type disk struct {
	dir, image, vmkFile, passphraseFile string
	payload                             []byte // in clear
}

// payloadSize is more than the distance that decrypting in place moves it.
const payloadSize = luks2.PayloadOffset + 4<<20

func newDisk(t *testing.T) *disk {
	t.Helper()
	return newDiskOf(t, 4096)
}

// newDiskOf makes a disk that is encrypted in sectors of a size.
func newDiskOf(t *testing.T, sectorSize int) *disk {
	t.Helper()
	dir := t.TempDir()
	d := &disk{
		dir: dir, image: filepath.Join(dir, "image"), vmkFile: filepath.Join(dir, "vmk"),
		passphraseFile: filepath.Join(dir, "passphrase"), payload: make([]byte, payloadSize),
	}
	vmk := newVMK()
	rand.Read(d.payload)
	record, err := vmkrecord.Encode(uuid(), []byte("sealed"))
	if err != nil {
		t.Fatal(err)
	}
	header, err := luks2.Encode(uuid(), vmk, sectorSize, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c, err := xts.New(vmk, sectorSize)
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, luks2.PayloadOffset+payloadSize)
	copy(content, header)
	copy(content[vmkrecord.Offset:], record)
	c.Encrypt(content[luks2.PayloadOffset:], d.payload, 0)
	for name, b := range map[string][]byte{d.image: content, d.vmkFile: vmk, d.passphraseFile: []byte("correct horse")} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// cryptsetup runs Debian's cryptsetup.
func (d *disk) cryptsetup(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	cmd := exec.Command(tool.Path(t, "cryptsetup"), append([]string{"--batch-mode"}, args...)...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must runs cryptsetup and wants success.
func (d *disk) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := d.cryptsetup(t, args...)
	if err != nil {
		t.Fatalf("cryptsetup %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// addKey makes a keyslot, as an owner would who wants a passphrase.
func (d *disk) addKey(t *testing.T) {
	t.Helper()
	d.must(t, "luksAddKey", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
		"--key-size", "512", "--volume-key-file", d.vmkFile, d.image, d.passphraseFile)
}

func (d *disk) read(t *testing.T) []byte {
	t.Helper()
	content, err := os.ReadFile(d.image)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestCryptsetupReadsHeader(t *testing.T) {
	for _, size := range []int{512, 4096} {
		readsHeader(t, newDiskOf(t, size), size)
	}
}

func readsHeader(t *testing.T, d *disk, sectorSize int) {
	t.Helper()
	d.must(t, "isLuks", "--type", "luks2", d.image)
	if got := strings.TrimSpace(d.must(t, "luksUUID", d.image)); got != uuidText {
		t.Errorf("UUID is %s, want %s", got, uuidText)
	}
	dump := d.must(t, "luksDump", d.image)
	flat := strings.Join(strings.Fields(dump), " ")
	for _, want := range []string{
		"Version: 2", "Epoch: 1", "Metadata area: 16384", "Keyslots area: 8355840", "Label: snpguard-root",
		"0: crypt offset: 16777216 [bytes] length: (whole device) cipher: aes-xts-plain64 sector: " + strconv.Itoa(sectorSize) + " [bytes]",
		"Keyslots: Tokens: Digests: 0: pbkdf2 Hash: sha256 Iterations: 1000",
	} {
		if !strings.Contains(flat, want) {
			t.Errorf("luksDump does not say %q:\n%s", want, dump)
		}
	}
	if text := d.must(t, "luksDump", "--dump-json-metadata", d.image); !json.Valid([]byte(text)) {
		t.Errorf("metadata is %s", text)
	}
}

func TestCryptsetupTakesVMK(t *testing.T) {
	d := newDisk(t)
	open := []string{"open", "--test-passphrase", "--key-size", "512", "--volume-key-file", d.vmkFile, d.image}
	d.must(t, open...)
	if err := os.WriteFile(d.vmkFile, newVMK(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := d.cryptsetup(t, open...); err == nil || !strings.Contains(out, "Volume key does not match") {
		t.Errorf("took another VMK: %v\n%s", err, out)
	}
}

// TestCryptsetupMendsHeader breaks each copy in turn.
func TestCryptsetupMendsHeader(t *testing.T) {
	for offset := 0; offset < luks2.Size; offset += luks2.CopySize {
		d := newDisk(t)
		good := d.read(t)
		broken := bytes.Clone(good)
		rand.Read(broken[offset:][:luks2.CopySize])
		if err := os.WriteFile(d.image, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		d.must(t, "luksDump", d.image)
		if h, err := luks2.Parse(bytes.NewReader(d.read(t)[offset:][:luks2.CopySize])); offset == 0 && (err != nil || !h.Converted()) {
			t.Errorf("primary was not mended: %+v, %v", h, err)
		}
		d.must(t, "open", "--test-passphrase", "--key-size", "512", "--volume-key-file", d.vmkFile, d.image)
	}
}

// TestCryptsetupKeepsRecord does what owners do with keyslots and wants all from
// the end of the keyslots area on untouched: the sealed VMK is there.
func TestCryptsetupKeepsRecord(t *testing.T) {
	d := newDisk(t)
	before := d.read(t)
	backup := filepath.Join(d.dir, "backup")
	d.must(t, "luksHeaderBackup", "--header-backup-file", backup, d.image)
	d.addKey(t)
	d.must(t, "open", "--test-passphrase", "--key-file", d.passphraseFile, d.image)
	h, err := luks2.Parse(bytes.NewReader(d.read(t)))
	if err != nil || h.Keyslots != 1 || h.Sequence < 2 || !h.Converted() {
		t.Errorf("with a keyslot: %+v, %v", h, err)
	}
	d.must(t, "config", "--label", "other", d.image)
	d.must(t, "luksErase", d.image)
	d.must(t, "luksHeaderRestore", "--header-backup-file", backup, d.image)
	d.must(t, "repair", d.image)
	after := d.read(t)
	if len(after) != len(before) || !bytes.Equal(before[luks2.KeyslotsEnd:], after[luks2.KeyslotsEnd:]) {
		t.Error("cryptsetup wrote behind the keyslots area")
	}
}

// TestCryptsetupDecrypts has cryptsetup decrypt the payload for good, which
// moves it to the start of the file.
func TestCryptsetupDecrypts(t *testing.T) {
	for _, size := range []int{512, 4096} {
		d := newDiskOf(t, size)
		d.addKey(t)
		d.must(t, "reencrypt", "--decrypt", "--force-offline-reencrypt", "--header", filepath.Join(d.dir, "header"),
			"--key-file", d.passphraseFile, d.image)
		if got := d.read(t); !bytes.Equal(got[:payloadSize], d.payload) {
			t.Errorf("sectors of %d: cryptsetup decrypts to something else", size)
		}
	}
}

// TestCryptsetupsOwnHeader parses what luksFormat makes.
func TestCryptsetupsOwnHeader(t *testing.T) {
	d := newDisk(t)
	d.must(t, "luksFormat", "--type", "luks2", "--uuid", uuidText, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
		"--sector-size", "512", d.image, d.passphraseFile)
	h, err := luks2.Parse(bytes.NewReader(d.read(t)))
	if err != nil || h.UUID != uuid() || h.Keyslots != 1 || h.SectorSize != 512 || h.Converted() ||
		h.Label != "" || h.PayloadOffset != 16<<20 || h.KeyslotsEnd != 16<<20 {
		t.Errorf("parsed %+v, %v", h, err)
	}
}
