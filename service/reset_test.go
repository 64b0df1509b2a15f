package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
)

// TestResetPassword resets a lost master password under a running service.
func TestResetPassword(t *testing.T) {
	s, dir := simulate(t), t.TempDir()
	data := filepath.Join(dir, "data")
	p := start(t, s.flags("--data", data)...)
	c, _ := login(t, p)
	out := once(t, 0, "--data", data, "--reset-password")
	shown := regexp.MustCompile(`(?m)^ {4}(\S+)$`).FindStringSubmatch(out)
	if shown == nil || shown[1] == p.password {
		t.Fatalf("it says %s", out)
	}
	if _, err := c.TokenByPassword(t.Context(), p.password, "old", time.Hour); err == nil {
		t.Error("the lost password still opens")
	}
	if _, err := c.TokenByPassword(t.Context(), shown[1], "new", time.Hour); err != nil {
		t.Errorf("the new password: %v", err)
	}
	records, err := c.Audit(t.Context(), client.AuditFilter{Reason: reasonPasswordReset})
	if err != nil || len(records) != 1 || records[0].Actor != "command line" {
		t.Errorf("audit records: %+v, %v", records, err)
	}
	p.stop(t)
	if again := start(t, s.flags("--data", data)...); again.password != "" {
		t.Error("the next start made another password")
	}
}

// TestResetPasswordRefused shows that the database alone does not do, and that
// nothing is made where nothing was.
func TestResetPasswordRefused(t *testing.T) {
	s, dir := simulate(t), t.TempDir()
	data, other := filepath.Join(dir, "data"), filepath.Join(dir, "other")
	start(t, s.flags("--data", data)...).stop(t)
	start(t, s.flags("--data", other)...).stop(t)
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"another service's KEK": {[]string{"--data", data, "--kek-file", filepath.Join(other, "kek")}, "does not fit this database; nothing was changed"},
		"no KEK":                {[]string{"--data", data, "--kek-file", filepath.Join(dir, "none")}, "no such file"},
		"no database":           {[]string{"--data", filepath.Join(dir, "none"), "--kek-file", filepath.Join(data, "kek")}, "no such file"},
	} {
		if out := once(t, 3, append(tc.args, "--reset-password")...); !strings.Contains(out, tc.says) {
			t.Errorf("%s: it says %s", name, out)
		}
	}
}
