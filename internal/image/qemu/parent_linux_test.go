package qemu_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
)

// imageToOpen names the image that TestKilledBeforeConnecting's child opens.
const imageToOpen = "SNPGUARD_TEST_IMAGE"

// TestKilledBeforeConnecting kills a program around the moment at which qemu-nbd
// begins to listen. The image is free again.
func TestKilledBeforeConnecting(t *testing.T) {
	if path := os.Getenv(imageToOpen); path != "" {
		w, err := qemu.OpenWritable(t.Context(), probe(t, path))
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Close() // it is killed sooner or later than this
		return
	}
	path := image(t, "-O", "qcow2")
	for range 12 {
		killAtSocket(t, path)
		begin := time.Now()
		for {
			w, err := qemu.OpenWritable(t.Context(), probe(t, path))
			if err == nil {
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				break
			}
			if time.Since(begin) > 20*time.Second {
				t.Fatalf("the image stays in use: %v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func killAtSocket(t *testing.T, path string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledBeforeConnecting$")
	cmd.Env = append(os.Environ(), imageToOpen+"="+path, "TMPDIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	for {
		select {
		case <-ended:
			return
		default:
		}
		if found, _ := filepath.Glob(filepath.Join(dir, "snpguard-nbd-*", "s")); len(found) > 0 {
			_ = cmd.Process.Kill() // it may have ended
			<-ended
			return
		}
	}
}
