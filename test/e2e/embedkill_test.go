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
	snpguard(t, "embed", "--image", image, "--bundle", bundle)
	began := time.Now()
	snpguard(t, "embed", "--image", image, "--bundle", bundle, "--size", "700M")
	took := time.Since(began)
	before := rootOf(t, image)
	killed := 0
	const moments = 24
	for i := range moments {
		cmd := exec.Command(program("snpguard"), "embed", "--image", image, "--bundle", bundle, "--size", fmt.Sprintf("%dM", 512+1+i))
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
		if !bytes.Equal(rootOf(t, image), before) {
			t.Fatalf("killed at %d of 24: the root's partition has changed", i)
		}
	}
	if killed < 5 {
		t.Errorf("only %d commands were killed before their end", killed)
	}
	snpguard(t, "embed", "--image", image, "--bundle", bundle, "--size", "600M")
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

// rootOf returns how the first partition is described and what its first MiB and
// the sealed key behind hold.
func rootOf(t *testing.T, image string) []byte {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "head")
	output(t, "qemu-img", "dd", "-f", "qcow2", "-O", "raw", "bs=1M", "count=32", "if="+image, "of="+raw)
	head, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	return head[1<<20:]
}
