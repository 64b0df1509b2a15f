package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
)

// maxMemory is what "snpguard measure" may use at its peak, in MiB, whatever
// the size of the initrd.
const maxMemory = 64

// TestMeasureNeedsLittleMemory measures an initrd of 1 GiB with the program as
// it is built for users.
func TestMeasureNeedsLittleMemory(t *testing.T) {
	if got := measurePeakMemory(t); got > maxMemory {
		t.Errorf("peak memory is %.0f MiB, want at most %d", got, maxMemory)
	}
}

// BenchmarkRatioMeasureMemory reports the same figure.
func BenchmarkRatioMeasureMemory(b *testing.B) {
	for b.Loop() {
		ratio.Report(b, "MiB", maxMemory, measurePeakMemory(b))
	}
}

// measurePeakMemory pipes an initrd of 1 GiB into the program and returns its
// largest resident set, in MiB, when it has taken all of it.
func measurePeakMemory(tb testing.TB) float64 {
	tb.Helper()
	dir := unpackVectors(tb)
	program := filepath.Join(dir, "snpguard")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	initrd, feed, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(program, "measure", "--firmware", filepath.Join(dir, "ovmf-amdsev-sid-2026.08.fd"),
		"--kernel", filepath.Join(dir, "kernel_1500001.bin"), "--initrd", "/dev/fd/3", "--vcpus", "4", "--vcpu-type", "EPYC-Milan")
	cmd.ExtraFiles = []*os.File{initrd}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	initrd.Close()
	block := make([]byte, 1<<20)
	for range 1 << 10 {
		if _, err := feed.Write(block); err != nil {
			tb.Fatalf("feed initrd: %v", err)
		}
	}
	peak := ratio.PeakMiB(tb, cmd.Process.Pid)
	feed.Close()
	if err := cmd.Wait(); err != nil {
		tb.Fatalf("snpguard measure: %v", err)
	}
	return peak
}
