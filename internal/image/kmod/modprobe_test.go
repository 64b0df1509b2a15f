package kmod_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/tool"
)

// program runs one of kmod's programs.
func program(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), tool.Path(t, name), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, errs.String())
	}
	return out.String()
}

// A tree that depmod has indexed loads in the order that modprobe has for it.
func TestModprobeAgrees(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, kmod.Dir, release)
	if err := os.MkdirAll(filepath.Join(tree, "kernel"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct{ name, depends, exports, needs, soft string }{
		{"dm-mod", "", "dm_register", "", ""},
		{"dm-crypt", "dm-mod", "", "dm_register", ""},
		{"cryptd", "", "cryptd_alloc", "", ""},
		{"crypto_simd", "cryptd", "simd_register", "cryptd_alloc", ""},
		{"aesni-intel", "crypto_simd", "", "simd_register", ""},
		{"ecb", "", "", "", "alias=crypto-ecb"},
		{"xts", "", "", "", "softdep=pre: crypto-ecb"},
		{"configfs", "", "configfs_register", "", ""},
		{"tsm", "configfs", "tsm_register", "configfs_register", ""},
		{"sev-guest", "tsm", "", "tsm_register", ""},
		{"failover", "", "failover_register", "", ""},
		{"net_failover", "failover", "net_failover_create", "failover_register", ""},
		{"virtio_net", "net_failover", "", "net_failover_create", ""},
	} {
		fields := []string{"depends=" + m.depends, "name=" + strings.ReplaceAll(m.name, "-", "_"), "vermagic=" + release + " SMP", m.soft}
		if err := os.WriteFile(filepath.Join(tree, "kernel", m.name+".ko"), object(fields, m.exports, m.needs), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "modules.builtin"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	program(t, "depmod", "-b", dir, release)
	c, err := open(t, os.DirFS(dir)).Closure(kmod.ForAgent())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Modules) != 13 {
		t.Errorf("%d modules of 13: %v", len(c.Modules), loaded(c))
	}
	compareWithModprobe(t, dir, c)
}

// compareWithModprobe wants all that modprobe loads for a wanted module in front
// of it, and nothing that modprobe does not load for any.
func compareWithModprobe(t *testing.T, dir string, c *kmod.Closure) {
	t.Helper()
	order := loaded(c)
	var all []string
	for _, wanted := range kmod.ForAgent() {
		at := slices.Index(order, wanted.Name)
		if at < 0 {
			continue
		}
		lines := program(t, "modprobe", "--show-depends", "-C", "/dev/null", "-d", dir, "-S", release, wanted.Name)
		for line := range strings.Lines(lines) {
			if strings.HasPrefix(line, "builtin ") {
				continue
			}
			file, ok := strings.CutPrefix(strings.TrimSpace(line), "insmod ")
			if !ok {
				t.Fatalf("modprobe says %q", line)
			}
			name := kmod.Name(strings.TrimSpace(file))
			all = append(all, name)
			if before := slices.Index(order, name); before < 0 || before > at {
				t.Errorf("modprobe loads %s before %s, here the order is %v", name, wanted.Name, order)
			}
		}
	}
	for _, name := range order {
		if !slices.Contains(all, name) {
			t.Errorf("modprobe has no use for %s", name)
		}
	}
}
