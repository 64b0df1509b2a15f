package embed

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// clean asks sgdisk, e2fsck and qemu-img, and compares the rest with what it was.
func clean(t *testing.T, image string, before *memory) *memory {
	t.Helper()
	if strings.HasSuffix(image, "qcow2") {
		tool(t, "qemu-img", "check", image)
	}
	m := diskOf(t, image)
	raw := imageOf(t, m, "raw")
	if out := tool(t, "sgdisk", "-v", raw); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk: %s", out)
	}
	part := filepath.Join(t.TempDir(), "fs")
	if err := os.WriteFile(part, m.b[artifactsAt<<20:artifactsEnd<<20], 0o600); err != nil {
		t.Fatal(err)
	}
	rootfstest.Clean(t, part)
	kept(t, m, before)
	return m
}

func embedBundle(t *testing.T, image string, data []byte, change func(*Options)) (*Result, error) {
	t.Helper()
	o := &Options{Config: Config{Image: image}, Reader: bytes.NewReader(data), Trust: trust()}
	if change != nil {
		change(o)
	}
	return Embed(t.Context(), o)
}

// listed returns what is in A and B, the active one in capitals.
func listed(t *testing.T, m *memory) string {
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
		step := func(want string, changed bool, do func() (bool, error)) {
			t.Helper()
			got, err := do()
			if err != nil || got != changed {
				t.Fatalf("%s: changed %v, %v", want, got, err)
			}
			m := clean(t, image, before)
			if listed(t, m) != want {
				t.Fatalf("%q, want %q", listed(t, m), want)
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
		step("ONE two", true, activate(slots.A))
		step("ONE two", false, activate(slots.A))
		step("one TWO", true, activate(slots.B))
		step("ONE two", true, put(one, true))
		step("ONE three", true, func() (bool, error) {
			_, err := embedBundle(t, image, release(t, "three"), func(o *Options) { o.Update = true })
			return true, errors.Join(err, second(activate(slots.A)()))
		})
		step("- TWO", true, put(two, false))
		step("- TWO", false, put(two, false))
		step("ONE -", true, put(one, false))
	}
}

func second(_ bool, err error) error { return err }

// TestTrial: a slot on trial is what is active, and neither it nor the other one is
// written before it has ended.
func TestTrial(t *testing.T) {
	image := imageOf(t, blankDisk(t), "qcow2")
	put := func(who string, update, trial bool) (*Result, error) {
		return embedBundle(t, image, release(t, who), func(o *Options) { o.Update, o.Trial = update, trial })
	}
	if _, err := put("one", false, true); err == nil {
		t.Error("a trial with nothing to return to was taken")
	}
	if _, err := put("one", false, false); err != nil {
		t.Fatal(err)
	}
	r, err := put("two", true, true)
	if err != nil || !r.Changed || r.Slot != slots.B || !r.Trial {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := put("two", true, true); err != nil || r.Changed || !r.Trial {
		t.Errorf("once more: %+v, %v", r, err)
	}
	if _, err := put("three", true, false); !errors.Is(err, ErrTrial) {
		t.Errorf("another one during the trial: %v", err)
	}
	if got := listed(t, diskOf(t, image)); got != "one TWO" {
		t.Errorf("slots %q", got)
	}
	if r, err := put("three", false, false); err != nil || r.Trial || listed(t, diskOf(t, image)) != "THREE -" {
		t.Errorf("all of it anew: %+v, %v", r, err)
	}
	if _, err := put("two", true, true); err != nil {
		t.Fatal(err)
	}
	changed, err := Activate(t.Context(), qemu.Files{Image: image}, slots.B)
	if got := listed(t, diskOf(t, image)); err != nil || !changed || got != "three TWO" {
		t.Errorf("kept by hand: %v, %v, %q", changed, err, got)
	}
	if _, err := put("one", true, false); err != nil {
		t.Errorf("after the trial: %v", err)
	}
}

// TestEmbedRefused leaves every byte as it was.
func TestEmbedRefused(t *testing.T) {
	one := release(t, "one")
	image := imageOf(t, blankDisk(t), "raw")
	bare := imageOf(t, &memory{make([]byte, 2<<20)}, "raw")
	vmdk := imageOf(t, blankDisk(t), "vmdk")
	other := blankDisk(t)
	withTable(t, other, gpt.Partition{Number: 1, GUID: gpt.GUID{2}, First: rootAt * 2048, Last: rootEnd*2048 - 1, Name: "root"})
	none := imageOf(t, other, "raw")
	large := launchtest.Bundle(t, launchtest.Release{Kernel: make([]byte, 8<<20), Initrd: []byte("large")})
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
		"too large":     {image, func(o *Options) { o.Reader = bytes.NewReader(large) }, slots.ErrTooLarge, "are needed"},
		"nothing there": {image, func(o *Options) { o.Update = true }, ErrArtifacts, "slot A is empty"},
		"no partition":  {none, nil, ErrNone, "convert the source again"},
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
	if _, err := Activate(t.Context(), qemu.Files{Image: image}, slots.B); !errors.Is(err, ErrArtifacts) {
		t.Errorf("nothing on it: %v", err)
	}
	if _, err := embedBundle(t, image, release(t, "one"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Activate(t.Context(), qemu.Files{Image: image}, slots.B); !errors.Is(err, ErrArtifacts) {
		t.Errorf("empty slot: %v", err)
	}
	if _, err := Activate(t.Context(), qemu.Files{Image: image}, "C"); err == nil {
		t.Error("slot C")
	}
}
