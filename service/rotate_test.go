package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
)

// once runs the service for a task after which it ends, and returns what it prints.
func once(t *testing.T, code int, args ...string) string {
	t.Helper()
	p := launch(t, args...)
	if p.url != "" {
		t.Fatalf("%v: it serves", args)
	}
	<-p.waited
	printed, err := os.ReadFile(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	all := string(printed) + p.log.String()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("%v: exit code %d, want %d\n%s", args, got, code, all)
	}
	return all
}

// TestRotateKEK rotates the KEK under a running service: it gives no key and changes
// nothing any more, since it cannot tell what is genuine, until it is restarted with
// the new KEK, which alone opens the database.
func TestRotateKEK(t *testing.T) {
	s, dir := simulate(t), t.TempDir()
	data, next := filepath.Join(dir, "data"), filepath.Join(dir, "next")
	p := start(t, s.flags("--data", data)...)
	c, l := login(t, p)
	image := register(t, c, l.IngestionKey, nil)
	if out := once(t, 0, "--data", data, "--rotate-kek", next); !strings.Contains(out, "Sealed 6 keys and secrets, the keys of 1 images and the shares of 0 instances under "+next) {
		t.Errorf("it says %s", out)
	}
	checkDoesNothing(t, c, l, p, image.launch(t, s.host))
	p.stop(t)

	if out := once(t, 0, "--data", data, "--rotate-kek", next); !strings.Contains(out, "already") {
		t.Errorf("again: it says %s", out)
	}
	if out := once(t, 3, s.flags("--data", data)...); !strings.Contains(out, "does not fit this database") {
		t.Errorf("with the old KEK: it says %s", out)
	}
	again := start(t, s.flags("--data", data, "--kek-file", next)...)
	again.password, l.URL = p.password, again.url
	c, l = login(t, again)
	checkBoots(t, l, image, s)
	checkBoots(t, l, register(t, c, l.IngestionKey, nil), s)
	further := wire.Registration{ImageID: image.ID, VCPUs: []int{2}, VCPUTypes: []string{"EPYC-Milan"}}
	if _, err := c.Register(t.Context(), further, uploads(t, image.Image), true, nil); err != nil {
		t.Errorf("a further release, signed with the image's keys: %v", err)
	}
	records, err := c.Audit(t.Context(), client.AuditFilter{Reason: reasonRotated})
	if err != nil || len(records) != 1 {
		t.Errorf("audit records: %+v, %v", records, err)
	}
	if v, err := c.VerifyAudit(t.Context(), wire.AuditHead{}); err != nil || !v.Valid {
		t.Errorf("audit log: %+v, %v", v, err)
	}
}

func checkBoots(t *testing.T, l *client.Login, image *registered, s *simulation) {
	t.Helper()
	c, err := l.Client()
	if err != nil {
		t.Fatal(err)
	}
	if vmk, err := boot(t.Context(), c, image.launch(t, s.host), l.IdentityKey); err != nil || !bytes.Equal(vmk, image.VMK) {
		t.Errorf("the guest has %x, %v", vmk, err)
	}
}

// checkDoesNothing wants a service whose KEK is the old one to say so, whatever it is
// asked.
func checkDoesNothing(t *testing.T, c *client.Client, l *client.Login, p *process, guest *guesttest.Guest) {
	t.Helper()
	info, err := c.PublicInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.ParsePublicKey(info.IngestionKey)
	if err != nil {
		t.Fatal(err)
	}
	image := guesttest.NewImage(t, key)
	_, registering := c.Register(t.Context(), wire.Registration{ImageID: image.ID, Name: "late", VCPUs: []int{2}, VCPUTypes: []string{"EPYC-Milan"}}, uploads(t, image), false, nil)
	_, password := c.TokenByPassword(t.Context(), p.password, "late", time.Hour)
	_, images := c.Images(t.Context(), client.ImageFilter{})
	for name, err := range map[string]error{"register": registering, "password": password, "images": images} {
		var problem *wire.Problem
		if !errors.As(err, &problem) || problem.Code != wire.CodeUnavailable || !strings.Contains(problem.Detail, "key-encryption key was rotated") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	var problem *wire.Problem
	if _, err := boot(t.Context(), c, guest, l.IdentityKey); !errors.As(err, &problem) || problem.Code != wire.CodeUnavailable {
		t.Errorf("guest: got %v", err)
	}
}

// TestRotateKEKRefused changes nothing, and leaves no new KEK behind.
func TestRotateKEKRefused(t *testing.T) {
	dir := t.TempDir()
	data, next, other := filepath.Join(dir, "data"), filepath.Join(dir, "next"), filepath.Join(dir, "other")
	start(t, "--data", data).stop(t)
	if err := os.WriteFile(other, make([]byte, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []string
		says string
	}{
		{"wrong old KEK", []string{"--data", data, "--kek-file", other, "--rotate-kek", next}, "does not fit this database"},
		{"wrong old KEK, new one there", []string{"--data", data, "--kek-file", other, "--rotate-kek", filepath.Join(data, "snpguard.db")}, "want a file of 32 bytes"},
		{"lost old KEK", []string{"--data", data, "--kek-file", filepath.Join(dir, "lost"), "--rotate-kek", next}, "no such file"},
		{"the same KEK", []string{"--data", data, "--rotate-kek", filepath.Join(data, "kek")}, "the new key-encryption key is the old one"},
		{"no database", []string{"--data", filepath.Join(dir, "empty"), "--kek-file", other, "--rotate-kek", next}, "no such file"},
	} {
		if out := once(t, 3, tc.args...); !strings.Contains(out, tc.says) {
			t.Errorf("%s: it says %s", tc.name, out)
		}
	}
	for _, path := range []string{next, filepath.Join(dir, "empty")} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s was made: %v", path, err)
		}
	}
	start(t, "--data", data).stop(t)
}
