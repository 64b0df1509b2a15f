package qemu_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
)

// TestChangedInPlace writes to an image and reads it back with another process.
func TestChangedInPlace(t *testing.T) {
	for _, options := range [][]string{{"-O", "raw"}, {"-O", "qcow2"}, {"-O", "qcow2", "-c"}, {"-O", "qcow2", "-o", "compat=0.10"}} {
		s := probe(t, image(t, options...))
		w, err := qemu.OpenWritable(t.Context(), s)
		if err != nil {
			t.Fatalf("%v: %v", options, err)
		}
		piece := bytes.Repeat([]byte("new"), 1000)
		_, err = w.WriteAt(piece, 4<<20+1)
		if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
			t.Fatalf("%v: %v", options, err)
		}
		want := content()
		copy(want[4<<20+1:], piece)
		got := make([]byte, len(want))
		d := open(t, probe(t, s.Path))
		if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) || d.Size() != int64(len(want)) {
			t.Errorf("%v: %v, %d bytes", options, err, d.Size())
		}
		run(t, t.TempDir(), "qemu-img", "info", s.Path)
		if s.Format == qemu.QCOW2 {
			run(t, t.TempDir(), "qemu-img", "check", s.Path)
		}
	}
}

func TestNotChangedInPlace(t *testing.T) {
	vmdk := probe(t, image(t, "-O", "vmdk"))
	if _, err := qemu.OpenWritable(t.Context(), vmdk); !errors.Is(err, qemu.ErrImage) {
		t.Errorf("vmdk: %v", err)
	}
	base := image(t, "-O", "qcow2")
	run(t, filepath.Dir(base), "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "image", "overlay")
	if _, err := qemu.OpenWritable(t.Context(), probe(t, filepath.Join(filepath.Dir(base), "overlay"))); !errors.Is(err, qemu.ErrImage) {
		t.Errorf("overlay: %v", err)
	}
}

// TestWritableTellsWhy fails in all the ways that are not the image's fault.
func TestWritableTellsWhy(t *testing.T) {
	s := probe(t, image(t, "-O", "qcow2"))
	w, err := qemu.OpenWritable(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := qemu.OpenWritable(t.Context(), s); err == nil || !strings.Contains(err.Error(), `Failed to get "write" lock`) {
		t.Errorf("in use: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := qemu.OpenWritable(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := qemu.OpenWritable(t.Context(), s); !errors.Is(err, qemu.ErrNoProgram) {
		t.Errorf("no program: %v", err)
	}
}
