package launch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// snpHost makes a host that lacks nothing.
func snpHost(t *testing.T) Host {
	t.Helper()
	h := Host{Root: t.TempDir(), Kernel: "6.12.3-amd64", SNP: true}
	for name, data := range map[string]string{
		"dev/sev": "", "dev/kvm": "", "sys/module/kvm_amd/parameters/sev_snp": "Y\n",
		"qemu": "#!/bin/sh\necho 'QEMU emulator version 9.1.0 (Debian)'\n",
	} {
		path := filepath.Join(h.Root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.Program = filepath.Join(h.Root, "qemu")
	return h
}

func TestMissing(t *testing.T) {
	if missing := snpHost(t).Missing(t.Context()); len(missing) != 0 {
		t.Errorf("a host with everything lacks %q", missing)
	}
	remove := func(name string) func(*Host) error {
		return func(h *Host) error { return os.Remove(filepath.Join(h.Root, name)) }
	}
	write := func(name, data string) func(*Host) error {
		return func(h *Host) error { return os.WriteFile(filepath.Join(h.Root, name), []byte(data), 0o700) }
	}
	link := func(name, target string) func(*Host) error {
		return func(h *Host) error {
			return errors.Join(remove(name)(h), os.Symlink(target, filepath.Join(h.Root, name)))
		}
	}
	for name, tc := range map[string]struct {
		change func(*Host) error
		says   string
	}{
		// Not even root may open a read-only sysctl for writing.
		"locked /dev/sev": {link("dev/sev", "/proc/sys/kernel/osrelease"), "/dev/sev: it cannot be opened by this user"},
		"odd /dev/kvm":    {link("dev/kvm", "/"), "is a directory"},
		"processor":       {func(h *Host) error { h.SNP = false; return nil }, "processor: "},
		"old kernel":      {func(h *Host) error { h.Kernel = "6.10.9"; return nil }, "kernel: 6.10.9; Linux 6.11"},
		"odd kernel":      {func(h *Host) error { h.Kernel = "rolling"; return nil }, "kernel: rolling"},
		"no module":       {remove("sys/module/kvm_amd/parameters/sev_snp"), "load the module kvm_amd"},
		"SNP disabled":    {write("sys/module/kvm_amd/parameters/sev_snp", "N\n"), "BIOS"},
		"no /dev/sev":     {remove("dev/sev"), "/dev/sev: it does not exist"},
		"no /dev/kvm":     {remove("dev/kvm"), "/dev/kvm: it does not exist"},
		"no QEMU":         {func(h *Host) error { h.Program = "qemu-none-such"; return nil }, "Debian's package is qemu-system-x86"},
		"old QEMU":        {write("qemu", "#!/bin/sh\necho 'QEMU emulator version 9.0.4'\n"), "is version 9.0; SEV-SNP came with 9.1"},
		"broken QEMU":     {write("qemu", "#!/bin/sh\nexit 1\n"), "QEMU: no usable"},
		"other QEMU":      {write("qemu", "#!/bin/sh\necho hello\n"), `its version is "hello\n"`},
	} {
		h := snpHost(t)
		if err := tc.change(&h); err != nil {
			t.Fatal(err)
		}
		missing := h.Missing(t.Context())
		if len(missing) != 1 || !strings.Contains(missing[0], tc.says) {
			t.Errorf("%s: got %q, want one that says %q", name, missing, tc.says)
		}
	}
}

func TestVersions(t *testing.T) {
	v, err := QEMUVersion(t.Context(), Program)
	if err != nil || !v.AtLeast(Version{5, 0}) {
		t.Errorf("this QEMU (Debian package qemu-system-x86): %s, %v", v, err)
	}
	if _, err := QEMUVersion(t.Context(), "qemu-none-such"); !errors.Is(err, errQEMU) {
		t.Errorf("got %v", err)
	}
	for _, tc := range []struct {
		v, floor Version
		want     bool
	}{
		{Version{9, 1}, Version{9, 1}, true}, {Version{10, 0}, Version{9, 1}, true}, {Version{9, 0}, Version{9, 1}, false}, {Version{8, 9}, Version{9, 1}, false},
	} {
		if got := tc.v.AtLeast(tc.floor); got != tc.want {
			t.Errorf("%s at least %s: got %v", tc.v, tc.floor, got)
		}
	}
}
