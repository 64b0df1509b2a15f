//go:build e2e

package e2e

import (
	"bytes"
	"crypto/aes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/xts"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestInstances makes three instances of one golden disk of a real image, and boots a
// copy of it under each: the first to its login prompt, the second with the power cut
// during the re-encryption, the third without a cut. Each ends under a key of its own,
// and boots again with the next generation.
func TestInstances(t *testing.T) {
	t.Parallel()
	c := convertImage(t, "debian", filepath.Join(scratch, "instances"), "--format", "raw")
	bundle := registered(t, "instances", c, "--instances", "named")
	before, golden := hashFile(t, c.Image), goldenRoot(t, c)
	first, second, third := newInstance(t, c, bundle, "web-1"), newInstance(t, c, bundle, "web-2"), newInstance(t, c, bundle, "web-3")

	v := first.launch(t)
	expect(t, v, `snpguard: .* instance: instance `+first.id.String()+` is new`, untilAgent)
	readied(t, v)
	login(t, v)
	v.Stop()

	h := second.host(t)
	slow(h, "33554432")
	v = h.boot(t)
	expect(t, v, `snpguard: .* instance: \d+ of \d+ MiB are under the instance's own key`, untilReady)
	v.Kill()
	second.in(t, wire.StateClaimed)
	v = second.host(t).boot(t)
	expect(t, v, `snpguard: .* instance: instance `+second.id.String()+` is claimed`, untilAgent)
	readied(t, v)
	v.Kill() // before anything has mounted the root for writing
	sameAsGolden(t, golden, second)

	v = third.host(t).boot(t)
	readied(t, v)
	v.Kill()

	for _, i := range []*instance{first, second, third} {
		last := i.in(t, wire.StateReady).Generation
		v = i.launch(t)
		expect(t, v, `snpguard: .* generation: generation \d+`, untilAgent)
		if i == first {
			prompt(t, v)
		}
		v.Stop()
		if now := i.in(t, wire.StateReady).Generation; now != last+1 {
			t.Errorf("%s: generation %d after %d", i.name, now, last)
		}
		recoverable(t, c, i)
	}
	differ(t, c, firstBlock(t, "/usr/lib/os-release", golden), first, second, third)
	if hashFile(t, c.Image) != before {
		t.Error("the golden disk was changed")
	}
}

// goldenRoot decrypts the root of the golden disk.
func goldenRoot(t *testing.T, c *conversion) string {
	t.Helper()
	return decrypted(t, rootPartition(t, c.Image, c.Conversion), recovered(t, c), c.Conversion)
}

// sameAsGolden wants a disk that was only re-encrypted to hold the golden file system:
// sound, and the same file by file.
func sameAsGolden(t *testing.T, golden string, i *instance) {
	t.Helper()
	i.in(t, wire.StateReady)
	plain := decrypted(t, rootPartition(t, i.Image, i.Conversion), i.volumeKey(t), i.Conversion)
	output(t, "e2fsck", "-fn", plain)
	if n := sameTree(t, rootfstest.Open(t, golden), rootfstest.Open(t, plain), nil); n < 10_000 {
		t.Errorf("only %d files were compared", n)
	}
}

// recoverable asks cryptsetup whether the recovered key is that of the disk, and no
// other: not the golden one, which everybody has who can read a copy.
func recoverable(t *testing.T, c *conversion, i *instance) {
	t.Helper()
	key, part := i.volumeKey(t), rootPartition(t, i.Image, c.Conversion)
	described := *c.Conversion
	described.Disk.LUKSUUID = i.id.String()
	checkLUKS(t, part, key, &described)
	file := filepath.Join(t.TempDir(), "golden")
	if err := os.WriteFile(file, recovered(t, c), 0o600); err != nil {
		t.Fatal(err)
	}
	if exec.Command("cryptsetup", "open", "--test-passphrase", "--key-size", "512", "--volume-key-file", file, part).Run() == nil {
		t.Errorf("%s: cryptsetup takes the golden key", i.name)
	}
}

// differ compares the ciphertext of a block that no boot writes: it is another one on
// each disk, and the same in clear.
func differ(t *testing.T, c *conversion, number int64, instances ...*instance) {
	t.Helper()
	golden := (&instance{conversion: *c}).partition(t).block(t, number)
	seen := map[string]string{string(golden): "the golden disk"}
	want := clear4K(t, golden, recovered(t, c), number)
	for _, i := range instances {
		block := i.partition(t).block(t, number)
		if other, found := seen[string(block)]; found {
			t.Errorf("block %d of %s is that of %s", number, i.name, other)
		}
		seen[string(block)] = i.name
		if !bytes.Equal(clear4K(t, block, i.volumeKey(t), number), want) {
			t.Errorf("block %d of %s holds something else", number, i.name)
		}
	}
}

// clear4K decrypts a block by the XTS of golang.org/x/crypto.
func clear4K(t *testing.T, block, key []byte, number int64) []byte {
	t.Helper()
	cipher, err := xts.NewCipher(aes.NewCipher, key)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(block))
	cipher.Decrypt(out, block, uint64(number*4096/512))
	return out
}

// TestCutsOfAFirstBoot takes the power away at moments all through the first boot of a
// small image, one after the other on one disk, where TestEveryCut of the agent has
// every single write. The instance becomes ready all the same.
func TestCutsOfAFirstBoot(t *testing.T) {
	t.Parallel()
	c, bundle := withInstances(t)
	i := newInstance(t, c, bundle, "cut")
	for _, said := range []string{
		`unlock: key released`, `instance: instance`, `instance: instance`,
		`instance: \d+ of \d+ MiB are`, `instance: \d+ of \d+ MiB are`, `instance: instance \S+ is ready`,
	} {
		h := i.host(t)
		slow(h, "8388608")
		v := h.boot(t)
		expect(t, v, `snpguard: .* (`+said+`|generation: generation)`, untilReady) // the latter when it is ready already
		time.Sleep(100 * time.Millisecond)
		v.Kill()
	}
	v := i.launch(t)
	if status := told(t, v)["status"]; !bytes.Contains([]byte(status), []byte(i.id.String()+", ready")) {
		t.Errorf("status: %s", status)
	}
	ended(t, v)
	i.in(t, wire.StateReady)
	output(t, "e2fsck", "-fn", decrypted(t, rootPartition(t, i.Image, c.Conversion), i.volumeKey(t), c.Conversion))
}

// withInstances returns a small image that is registered with instances. All tests share it.
func withInstances(t testing.TB) (c *conversion, bundle string) {
	t.Helper()
	c = smallNamed(t, "debian", "instances-small")
	return c, registered(t, "instances-small", c, "--instances", "named")
}
