package launch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestProbe shows that the guest of the probe ends where a processor works, here
// an emulated one, and that other ends do not count. What KVM does depends on the
// machine.
func TestProbe(t *testing.T) {
	if works, err := probe(t.Context(), Program, t.TempDir(), tcgArgs()); err != nil || !works {
		t.Errorf("emulated: %v, %v", works, err)
	}
	if works, err := probe(t.Context(), Program, t.TempDir(), []string{"-accel", "none-such"}); err != nil || works {
		t.Errorf("without an accelerator: %v, %v", works, err)
	}
	for name, script := range map[string]string{"succeeds": "exit 0", "fails": "exit 1", "dies": "kill -ABRT $$"} {
		program := filepath.Join(t.TempDir(), "qemu")
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if works, err := probe(t.Context(), program, t.TempDir(), kvmArgs()); err != nil || works {
			t.Errorf("QEMU that %s: %v, %v", name, works, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := KVMWorks(ctx, Program, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestVirtualizes does not try KVM on a processor that cannot virtualize: guests start
// there and hang later.
func TestVirtualizes(t *testing.T) {
	for cpuinfo, want := range map[string]bool{
		"processor\t: 0\nflags\t\t: fpu sse svm npt\n": true,
		"flags\t\t: fpu vmx\n":                         true,
		"model name\t: vmx\nflags\t\t: fpu svme\n":     false,
		"Features\t: fp asimd\n":                       false,
		"":                                             false,
	} {
		if virtualizes(cpuinfo) != want {
			t.Errorf("%q: want %v", cpuinfo, want)
		}
	}
}
