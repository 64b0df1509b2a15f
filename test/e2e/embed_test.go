//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

// ownImage copies a converted image, since embedding changes it in place.
func ownImage(t *testing.T, c *conversion) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	copyImage(t, c.Image, path)
	return path
}

func copyImage(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}

// soundDisk asks qemu-img, sgdisk and e2fsck about a disk.
func soundDisk(t *testing.T, image string) {
	t.Helper()
	output(t, "qemu-img", "check", image)
	raw := filepath.Join(t.TempDir(), "disk.raw")
	output(t, "qemu-img", "convert", "-O", "raw", image, raw)
	defer os.Remove(raw) //nolint:errcheck // the directory goes later anyway
	if out := output(t, "sgdisk", "-v", raw); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk -v: %s", out)
	}
	for line := range strings.Lines(output(t, "sgdisk", "-p", raw)) {
		fields := strings.Fields(line)
		if len(fields) < 7 || fields[len(fields)-1] != "LAUNCH_ARTIFACTS" {
			continue
		}
		part := filepath.Join(t.TempDir(), "part")
		output(t, "dd", "if="+raw, "of="+part, "bs=512", "conv=sparse", "skip="+fields[1])
		output(t, "e2fsck", "-f", "-n", part)
		return
	}
	t.Error("no partition LAUNCH_ARTIFACTS")
}

// TestBootFromTheDiskAlone embeds, updates and switches, and each time boots what
// is on the disk until the agent has unlocked the root.
func TestBootFromTheDiskAlone(t *testing.T) {
	for _, kind := range []string{"debian", "dracut"} {
		t.Run(kind, func(t *testing.T) {
			c := converted(t, kind)
			bundle, image := registered(t, kind, c), ownImage(t, c)
			snpguard(t, "embed", "--image", image, "--bundle", bundle)
			soundDisk(t, image)
			bootAlone(t, image)
			snpguard(t, "artifacts", "export", "--image", image, "--bundle", bundle+".again")
			snpguard(t, "embed", "--image", image, "--bundle", bundle+".again", "--update")
			if shown := snpguard(t, "artifacts", "show", "--image", image); !strings.Contains(shown, "A (active)") {
				t.Errorf("the same bundle went into another slot:\n%s", shown)
			}
			soundDisk(t, image)
		})
	}
}

// bootAlone launches a disk without a bundle.
func bootAlone(t *testing.T, image string) {
	t.Helper()
	t.Setenv("SNPGUARD_LOGIN", loginFile())
	v, err := vm.Start(context.Background(), []string{program("snpguard"), "launch", "--image", image, "--memory", "1G", "--snapshot",
		"--simulate", "--sim-state", theService(t).simState})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Stop()
	expect(t, v, `snpguard: \[[0-9.]+s\] .*(unlocked|hand)`, untilAgent)
}

// TestEmbedKilled kills the command at many moments. The image is sound, and
// exports its old bundle or the new one.
func TestEmbedKilled(t *testing.T) {
	c := converted(t, "debian")
	bundle, image := registered(t, "debian", c), ownImage(t, c)
	snpguard(t, "embed", "--image", image, "--bundle", bundle)
	before := rootOf(t, image)
	t.Setenv("SNPGUARD_LOGIN", loginFile())
	killed := 0
	for i := range 24 {
		cmd := exec.Command(program("snpguard"), "embed", "--image", image, "--bundle", bundle, "--size", fmt.Sprintf("%dM", 512+1+i))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 60 * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
		if cmd.Wait() != nil {
			killed++
		}
		untilClosed(t, image)
		snpguard(t, "artifacts", "export", "--image", image, "--bundle", bundle+".out", "--format", "tar")
		if !bytes.Equal(rootOf(t, image), before) {
			t.Fatalf("killed after %d steps: the root's partition has changed", i)
		}
	}
	if killed < 5 {
		t.Errorf("only %d commands were killed before their end", killed)
	}
	snpguard(t, "embed", "--image", image, "--bundle", bundle, "--size", "600M")
	soundDisk(t, image)
}

// untilClosed waits until qemu-nbd, which has lost its client, lets the image go.
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
