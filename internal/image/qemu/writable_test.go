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

// TestChangedInPlace grows an image, writes behind its old end and reads it back
// with another process.
func TestChangedInPlace(t *testing.T) {
	for _, options := range [][]string{{"-O", "raw"}, {"-O", "qcow2"}, {"-O", "qcow2", "-c"}, {"-O", "qcow2", "-o", "compat=0.10"}} {
		s := probe(t, image(t, options...))
		old := s.VirtualSize
		if err := qemu.Resize(t.Context(), s, old+4<<20); err != nil {
			t.Fatalf("%v: %v", options, err)
		}
		w, err := qemu.OpenWritable(t.Context(), s)
		if err != nil {
			t.Fatalf("%v: %v", options, err)
		}
		piece := bytes.Repeat([]byte("new"), 1000)
		_, err = w.WriteAt(piece, old+1)
		if err = errors.Join(err, w.Zero(1<<20, 1<<20), w.Sync(), w.Close()); err != nil {
			t.Fatalf("%v: %v", options, err)
		}
		want := append(content(), make([]byte, 4<<20)...)
		copy(want[old+1:], piece)
		clear(want[1<<20 : 2<<20])
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
	if err := qemu.Resize(t.Context(), vmdk, vmdk.VirtualSize+1<<20); !errors.Is(err, qemu.ErrImage) {
		t.Errorf("vmdk: %v", err)
	}
	base := image(t, "-O", "qcow2")
	run(t, filepath.Dir(base), "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "image", "overlay")
	if _, err := qemu.OpenWritable(t.Context(), probe(t, filepath.Join(filepath.Dir(base), "overlay"))); !errors.Is(err, qemu.ErrImage) {
		t.Errorf("overlay: %v", err)
	}
	if err := qemu.Resize(t.Context(), probe(t, base), 17<<40); err == nil {
		t.Error("made too large")
	}
	raw := probe(t, image(t, "-O", "raw"))
	if err := qemu.Resize(t.Context(), raw, raw.VirtualSize-512); err == nil {
		t.Error("made smaller")
	}
}

// TestResizeTellsWhy fails in all the ways that are not the image's fault.
func TestResizeTellsWhy(t *testing.T) {
	s := probe(t, image(t, "-O", "qcow2"))
	old := s.VirtualSize
	w, err := qemu.OpenWritable(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := qemu.Resize(t.Context(), s, old+1<<20); err == nil || !strings.Contains(err.Error(), `qemu-img: Failed to get "write" lock`) {
		t.Errorf("in use: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := qemu.Resize(ctx, s, old+1<<20); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := qemu.Resize(t.Context(), s, old+1<<20); !errors.Is(err, qemu.ErrNoProgram) {
		t.Errorf("no program: %v", err)
	}
	if got := probe(t, s.Path).VirtualSize; s.VirtualSize != old || got != old {
		t.Errorf("%d bytes, said to be %d, want %d", got, s.VirtualSize, old)
	}
}
