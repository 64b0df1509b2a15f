//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestEmbedKilled kills the command at moments all through its run, where
// TestCutAnywhere of internal/image/embed has every single write. The image is sound, and
// exports its old bundle or the new one.
func TestEmbedKilled(t *testing.T) {
	t.Parallel()
	c := converted(t, "debian")
	bundle, image := registered(t, "debian", c), ownImage(t, c)
	other := registered(t, "dracut", converted(t, "dracut")) // whose it is does not matter here
	snpguard(t, "embed", "--image", image, "--bundle", bundle)
	began := time.Now()
	snpguard(t, "embed", "--image", image, "--bundle", other)
	took := time.Since(began)
	before := rootOf(t, image, c)
	killed := 0
	const moments = 24
	for i := range moments {
		bundle, other = other, bundle
		cmd := exec.Command(program("snpguard"), "embed", "--image", image, "--bundle", other)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(took * time.Duration(i) / moments)
		_ = cmd.Process.Kill() // it may have ended
		if cmd.Wait() != nil {
			killed++
		}
		untilClosed(t, image)
		snpguard(t, "artifacts", "export", "--image", image, "--bundle", bundle+".out", "--format", "tar", "--force")
		if !bytes.Equal(rootOf(t, image, c), before) {
			t.Fatalf("killed at %d of 24: the root's partition has changed", i)
		}
	}
	if killed < 5 {
		t.Errorf("only %d commands were killed before their end", killed)
	}
	snpguard(t, "embed", "--image", image, "--bundle", bundle)
	// Clusters that a killed command had asked for may be lost room, nothing worse.
	output(t, "qemu-img", "check", "-r", "leaks", image)
	soundArtifacts(t, soundDisk(t, image))
}

// untilClosed waits until qemu-nbd, which ends with its client, lets the image go.
func untilClosed(t *testing.T, image string) {
	t.Helper()
	for range 300 {
		if err := exec.Command("qemu-io", "-f", "qcow2", "-c", "flush", image).Run(); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the image stays in use")
}

// rootOf returns the root's first MiB and the sealed key behind.
func rootOf(t *testing.T, image string, c *conversion) []byte {
	t.Helper()
	for _, p := range c.Conversion.Disk.Partitions {
		if p.Number != c.Conversion.Disk.RootPartition {
			continue
		}
		raw := filepath.Join(t.TempDir(), "head")
		first := p.Offset >> 20
		output(t, "qemu-img", "dd", "-f", "qcow2", "-O", "raw", "bs=1M", fmt.Sprintf("skip=%d", first), fmt.Sprintf("count=%d", first+31), "if="+image, "of="+raw)
		head, err := os.ReadFile(raw)
		if err != nil {
			t.Fatal(err)
		}
		return head
	}
	t.Fatal("no root partition")
	return nil
}
