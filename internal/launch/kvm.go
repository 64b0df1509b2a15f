package launch

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The guest with which KVM is tried: a firmware of 64 KiB, whose first
// instructions, at the reset vector 16 bytes before its end, write a byte to
// QEMU's isa-debug-exit. QEMU then exits with twice that byte plus one.
const (
	probeSize    = 64 << 10
	probeVector  = probeSize - 16
	probeByte    = 0x31
	probeExit    = probeByte<<1 | 1
	probeTimeout = 10 * time.Second
)

func probeFirmware() []byte {
	image := make([]byte, probeSize)
	copy(image[probeVector:], []byte{
		0xB0, probeByte, // mov al, 0x31
		0xE6, 0xF4, // out 0xf4, al
		0xF4, // hlt
	})
	return image
}

// KVMWorks runs a tiny guest under KVM, with scratch files in dir, and reports
// whether it came to an end. Being able to open /dev/kvm is not enough: inside
// some virtual machines KVM opens and guests never run.
func KVMWorks(ctx context.Context, program, dir string) (bool, error) {
	return probe(ctx, program, dir, "kvm")
}

func probe(ctx context.Context, program, dir, accel string) (bool, error) {
	path := filepath.Join(dir, "probe.bin")
	if err := os.WriteFile(path, probeFirmware(), 0o600); err != nil {
		return false, err
	}
	limited, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := exec.CommandContext(limited, program, "-accel", accel, "-machine", "q35", "-m", "16M",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-bios", path, "-device", "isa-debug-exit,iobase=0xf4,iosize=0x01").Run()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == probeExit, nil
}
