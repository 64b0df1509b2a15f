package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/ratio"
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

// measurePeakMemory returns the largest resident set in MiB.
func measurePeakMemory(tb testing.TB) float64 {
	tb.Helper()
	dir := unpackVectors(tb)
	program := filepath.Join(dir, "snpguard")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	initrd := filepath.Join(dir, "initrd")
	if err := os.WriteFile(initrd, nil, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Truncate(initrd, 1<<30); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(program, "measure", "--firmware", filepath.Join(dir, "ovmf-amdsev-sid-2026.08.fd"),
		"--kernel", filepath.Join(dir, "kernel_1500001.bin"), "--initrd", initrd, "--vcpus", "4", "--vcpu-type", "EPYC-Milan")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("snpguard measure: %v\n%s", err, out)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		tb.Fatal("no resource usage")
	}
	return float64(usage.Maxrss) / 1024
}
