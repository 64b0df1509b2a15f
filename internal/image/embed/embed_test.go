package embed

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// clean asks sgdisk, e2fsck and qemu-img, and compares the root with what it was.
func clean(t *testing.T, image string, before *memory) *memory {
	t.Helper()
	if strings.HasSuffix(image, "qcow2") {
		tool(t, "qemu-img", "check", image)
	}
	m := diskOf(t, image)
	raw := imageOf(t, m, "raw")
	if out := tool(t, "sgdisk", "-v", raw); !strings.Contains(out, "No problems found") || strings.Contains(out, "aution") {
		t.Errorf("sgdisk: %s", out)
	}
	a, err := read(m)
	if err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(t.TempDir(), "fs")
	if err := os.WriteFile(part, m.b[a.Offset:a.Offset+a.Size], 0o600); err != nil {
		t.Fatal(err)
	}
	rootfstest.Clean(t, part)
	if !bytes.Equal(m.b[1<<20:7<<20], before.b[1<<20:7<<20]) || !bytes.HasPrefix(m.b, []byte("boot code")) {
		t.Error("what was on the disk has changed")
	}
	return m
}

func embedBundle(t *testing.T, image string, data []byte, change func(*Options)) (*Result, error) {
	t.Helper()
	o := &Options{Config: Config{Image: image, Size: "24M"}, Reader: bytes.NewReader(data), Trust: trust()}
	if change != nil {
		change(o)
	}
	return Embed(t.Context(), o)
}

// slots returns what is in A and B, the active one in capitals.
func slots(t *testing.T, m *memory) string {
	t.Helper()
	a, err := read(m)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range a.Slots {
		name := "-"
		if !s.Empty() {
			if name, err = cmdlineOf(s); err != nil {
				t.Fatal(err)
			}
		}
		if s.Active {
			name = strings.ToUpper(name)
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// TestEmbedStory goes through the life of a disk, raw and qcow2.
func TestEmbedStory(t *testing.T) {
	one, two := release(t, "one"), release(t, "two")
	for _, format := range []string{"raw", "qcow2"} {
		before := blankDisk(t)
		image := imageOf(t, before, format)
		var sizes []int64
		step := func(want string, changed bool, do func() (bool, error)) {
			t.Helper()
			got, err := do()
			if err != nil || got != changed {
				t.Fatalf("%s: changed %v, %v", want, got, err)
			}
			m := clean(t, image, before)
			if sizes = append(sizes, m.Size()); slots(t, m) != want {
				t.Fatalf("%q, want %q", slots(t, m), want)
			}
		}
		put := func(data []byte, update bool) func() (bool, error) {
			return func() (bool, error) {
				r, err := embedBundle(t, image, data, func(o *Options) { o.Update = update })
				return err == nil && r.Changed && r.Partition == 2, err
			}
		}
		activate := func(slot string) func() (bool, error) {
			return func() (bool, error) { return Activate(t.Context(), qemu.Files{Image: image}, slot) }
		}
		step("ONE -", true, put(one, false))
		step("ONE -", false, put(one, false))
		step("one TWO", true, put(two, true))
		step("one TWO", false, put(two, true))
		step("ONE two", true, activate(SlotA))
		step("ONE two", false, activate(SlotA))
		step("one TWO", true, activate(SlotB))
		step("ONE two", true, put(one, true))
		step("TWO -", true, put(two, false))
		step("ONE -", true, put(one, false))
		if sizes[0] != 33<<20 || sizes[len(sizes)-1] > 60<<20 {
			t.Errorf("the disk had 8 MiB and grew to %v", sizes)
		}
	}
}

// TestEmbedRefused leaves every byte as it was.
func TestEmbedRefused(t *testing.T) {
	one := release(t, "one")
	image := imageOf(t, blankDisk(t), "raw")
	bare := imageOf(t, &memory{make([]byte, 2<<20)}, "raw")
	vmdk := imageOf(t, blankDisk(t), "vmdk")
	for name, tc := range map[string]struct {
		image  string
		change func(*Options)
		want   error
		text   string
	}{
		"another key": {image, func(o *Options) {
			o.Trust.Identity = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)).Public().(ed25519.PublicKey)
		}, bundle.ErrSignature, ""},
		"cut":           {image, func(o *Options) { o.Reader = bytes.NewReader(one[:len(one)/2]) }, bundle.ErrBundle, "it is cut short"},
		"too small":     {image, func(o *Options) { o.Size = "2M" }, errTooLarge, "it has 2 MiB, 5 MiB are needed (size 5M)"},
		"too large":     {image, func(o *Options) { o.Size = "1T" }, errTooLarge, "at most 64 GiB"},
		"nothing there": {image, func(o *Options) { o.Update = true }, ErrNone, ""},
		"no GPT":        {bare, nil, ErrDisk, "want GPT"},
		"vmdk":          {vmdk, nil, qemu.ErrImage, "it is in format vmdk, want qcow2 or raw"},
		"missing":       {image + "x", nil, os.ErrNotExist, ""},
	} {
		before, _ := os.ReadFile(tc.image)
		_, err := embedBundle(t, tc.image, one, tc.change)
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(tc.image); !bytes.Equal(before, after) {
			t.Errorf("%s: the image has changed", name)
		}
	}
	lock, err := lockImage(image)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := embedBundle(t, image, one, nil); err == nil || !strings.Contains(err.Error(), "another command") {
		t.Errorf("while another command is at it: %v", err)
	}
}

// TestActivateRefused switches to nothing that cannot be launched.
func TestActivateRefused(t *testing.T) {
	image := imageOf(t, blankDisk(t), "raw")
	if _, err := Activate(t.Context(), qemu.Files{Image: image}, SlotA); !errors.Is(err, ErrNone) {
		t.Errorf("no partition: %v", err)
	}
	if _, err := embedBundle(t, image, release(t, "one"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Activate(t.Context(), qemu.Files{Image: image}, SlotB); !errors.Is(err, ErrArtifacts) {
		t.Errorf("empty slot: %v", err)
	}
	if _, err := Activate(t.Context(), qemu.Files{Image: image}, "C"); err == nil {
		t.Error("slot C")
	}
}
