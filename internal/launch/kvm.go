package launch

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The guest with which KVM is tried: a disk whose boot sector writes a byte to
// QEMU's isa-debug-exit. QEMU then exits with twice that byte plus one. Before it
// comes to that, QEMU's firmware has run in real, protected and system management
// mode, in which KVM breaks first where it does not work.
const (
	probeDiskSize = 1 << 20
	probeByte     = 0x31
	probeExit     = probeByte<<1 | 1
	probeTimeout  = 10 * time.Second
)

func probeDisk() []byte {
	image := make([]byte, probeDiskSize)
	copy(image, []byte{
		0xB0, probeByte, // mov al, 0x31
		0xE6, 0xF4, // out 0xf4, al
		0xF4, // hlt
	})
	copy(image[510:], []byte{0x55, 0xAA})
	return image
}

// KVMWorks runs a tiny guest under KVM, with scratch files in dir, and reports
// whether it came to an end. Being able to open /dev/kvm is not enough: inside
// some virtual machines KVM opens and guests do not run, or run for a while, since
// the processor they see cannot virtualize.
func KVMWorks(ctx context.Context, program, dir string) (bool, error) {
	processor, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || !virtualizes(string(processor)) {
		return false, ctx.Err()
	}
	return probe(ctx, program, dir, kvmArgs())
}

// virtualizes says whether a processor, as /proc/cpuinfo describes it, has AMD's or
// Intel's extension for virtual machines.
func virtualizes(cpuinfo string) bool {
	for line := range strings.Lines(cpuinfo) {
		if name, flags, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "flags" {
			words := strings.Fields(flags)
			return slices.Contains(words, "svm") || slices.Contains(words, "vmx")
		}
	}
	return false
}

// kvmArgs and tcgArgs choose who runs the instructions of a simulated guest. One
// thread: with a thread for each vCPU, guests now and then run over code that their
// kernel is just patching, and panic. Walking five levels of page tables would take a
// sixth of the time. CMPXCHG16B, which the kernel's allocator uses where a CPU has it,
// now and then leaves a register's value in the flags (QEMU 10.0) when an interrupt
// comes behind it, and the kernel ends in a double fault.
func kvmArgs() []string { return []string{"-accel", "kvm", "-cpu", "host"} }
func tcgArgs() []string {
	return []string{"-accel", "tcg,thread=single", "-cpu", "max,la57=off,cx16=off"}
}

func probe(ctx context.Context, program, dir string, accel []string) (bool, error) {
	path := filepath.Join(dir, "probe.img")
	if err := os.WriteFile(path, probeDisk(), 0o600); err != nil {
		return false, err
	}
	limited, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	args := append([]string{
		"-machine", "q35", "-m", "64M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-drive", "if=none,id=disk0,driver=raw,file.driver=file,file.filename=" + escape(path),
		"-device", "virtio-blk-pci,drive=disk0", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x01",
	}, accel...)
	err := exec.CommandContext(limited, program, args...).Run()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == probeExit, nil
}
