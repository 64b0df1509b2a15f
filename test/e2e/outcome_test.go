//go:build e2e

package e2e

import (
	"context"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

// untilOff is how long a guest may take to power off: to boot, to wait for its
// deadline or three denials, and all that beside other guests.
const untilOff = 5 * time.Minute

// poweredOff waits for the agent to give up for a reason and the machine to be
// powered off by it, without a shell on the way.
func poweredOff(t testing.TB, v *vm.VM, reason string) {
	t.Helper()
	expect(t, v, `snpguard: FAILED: `+reason, untilOff)
	ended(t, v)
	if !regexp.MustCompile(`reboot: Power down`).MatchString(v.Log()) {
		t.Error("the machine was not powered off")
	}
}

// ended waits for the machine to end by itself, without a shell on the way.
func ended(t testing.TB, v *vm.VM) {
	t.Helper()
	code, err := v.Wait(untilOff)
	if err != nil || code != 0 {
		t.Fatalf("exit code %d, %v", code, err)
	}
	if shell := shellPattern().FindString(v.Log()); shell != "" {
		t.Errorf("there is a shell: %q", shell)
	}
}

// shellPattern matches the prompts of initramfs-tools, dracut and systemd's
// emergency mode.
func shellPattern() *regexp.Regexp {
	return regexp.MustCompile(`BusyBox v|\(initramfs\)|(dracut|sh|bash)[^ ]*# |for maintenance|You are in emergency mode|sulogin|login:`)
}

// manager is a client of the service with the rights of its operator.
func manager(t testing.TB) *client.Client {
	t.Helper()
	login, err := client.ReadLogin(loginFile())
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(login.URL, login.CA, login.Token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// records returns what the audit log says of the unlocks of one launch, newest first.
func records(t testing.TB, h *host) []wire.AuditRecord {
	t.Helper()
	all, err := manager(t).Audit(context.Background(), client.AuditFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var found []wire.AuditRecord
	for _, r := range all {
		if report, err := snp.ParseReport(r.Report); err == nil && report.ReportID == h.asp.ReportID() {
			found = append(found, r)
		}
	}
	return found
}

// denied wants the requests of a launch to be in the audit log, denied for this reason.
func denied(t testing.TB, h *host, reason string) {
	t.Helper()
	found := records(t, h)
	if len(found) == 0 {
		counted(t, reason)
	}
	for _, r := range found {
		if r.Kind != "unlock" || r.Outcome != "denied" || r.Reason != reason {
			t.Errorf("audit record: %s %s, reason %s: %s, expected %q, found %q; want denied for %s",
				r.Kind, r.Outcome, r.Reason, r.Rule, r.Expected, r.Found, reason)
		}
	}
}

// counted wants denials for a reason that are recorded together: of those that nothing
// genuine vouches for, the service records a few of each address and counts the rest,
// which it writes every minute.
func counted(t testing.TB, reason string) {
	t.Helper()
	for range 30 {
		all, err := manager(t).Audit(context.Background(), client.AuditFilter{Reason: reason})
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(all, func(r wire.AuditRecord) bool { return r.Outcome == "denied" && r.Count > 0 }) {
			return
		}
		time.Sleep(5 * time.Second)
	}
	t.Fatalf("there is no audit record of this launch, and none that counts denials for %s", reason)
}

// neverAsked wants no request of a launch in the audit log.
func neverAsked(t testing.TB, h *host) {
	t.Helper()
	if found := records(t, h); len(found) != 0 {
		t.Errorf("the service was asked %d times", len(found))
	}
}
