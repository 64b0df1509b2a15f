package embed

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// swapped gives one bundle to who reads it first, and another one afterwards.
type swapped struct {
	*bytes.Reader
	then  []byte
	reads int
}

// Seek implements io.Seeker.
func (s *swapped) Seek(offset int64, whence int) (int64, error) {
	// Whether it can be rewound is asked before the first reading.
	if s.reads++; s.reads == 3 {
		s.Reader = bytes.NewReader(s.then)
	}
	return s.Reader.Seek(offset, whence)
}

// TestBundleChanges between the check and the writing: the disk has what it had.
func TestBundleChanges(t *testing.T) {
	one, two := release(t, "one"), release(t, "two")
	large := launchtest.Bundle(t, launchtest.Release{Kernel: make([]byte, 1<<20), Initrd: []byte("two"), Cmdline: "two"})
	unsound := bytes.Clone(two)
	unsound[len(unsound)/2] ^= 1
	image := imageOf(t, blankDisk(t), "raw")
	if _, err := embedBundle(t, image, one, nil); err != nil {
		t.Fatal(err)
	}
	for name, then := range map[string][]byte{"longer": large, "damaged": unsound, "cut": two[:len(two)/2], "other files": bytes.ReplaceAll(two, []byte("vmlinuz"), []byte("vmlinux"))} {
		_, err := embedBundle(t, image, two, func(o *Options) { o.Reader = &swapped{Reader: bytes.NewReader(two), then: then} })
		if !errors.Is(err, bundle.ErrBundle) && !errors.Is(err, bundle.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
		if got := listed(t, diskOf(t, image)); got != "ONE -" {
			t.Errorf("%s: the disk has %s", name, got)
		}
	}
	if _, err := embedBundle(t, image, two, func(o *Options) { o.Reader = struct{ io.Reader }{bytes.NewReader(two)} }); err != nil {
		t.Errorf("from a pipe: %v", err)
	}
	if got := listed(t, diskOf(t, image)); got != "- TWO" {
		t.Errorf("from a pipe: the disk has %s", got)
	}
}
