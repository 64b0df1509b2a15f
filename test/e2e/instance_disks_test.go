//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestDiskOfAnotherInstance launches the disk of one instance as another one, which is
// ready or new: it gets no key, or nothing that it could use, and the disk stays whole.
func TestDiskOfAnotherInstance(t *testing.T) {
	t.Parallel()
	c, bundle := withInstances(t)
	owner, ready, fresh := newInstance(t, c, bundle, "owner"), newInstance(t, c, bundle, "other-ready"), newInstance(t, c, bundle, "other-new")
	owner.becomesReady(t)
	ready.becomesReady(t)
	ready.Image, fresh.Image = owner.Image, owner.Image
	before := hashFile(t, owner.Image)
	refusedKey(t, ready.host(t), "instance_key")
	poweredOff(t, fresh.host(t).boot(t), `instance: look for the golden file system: `)
	fresh.in(t, wire.StateNew)
	if hashFile(t, owner.Image) != before {
		t.Error("the disk was written to")
	}
	owner.boots(t)
}

// boots boots a ready instance to the end of its init, and returns the launch.
func (i *instance) boots(t *testing.T) *host {
	t.Helper()
	h := i.host(t)
	v := h.boot(t)
	expect(t, v, `snpguard: .* generation: generation \d+`, untilAgent)
	told(t, v)
	ended(t, v)
	return h
}

// TestRestoredSnapshot puts an older copy of the disk of a ready instance back: it is
// recorded, or with "enforce" denied, and then allowed once.
func TestRestoredSnapshot(t *testing.T) {
	t.Parallel()
	const name = "instances-restored"
	c := smallNamed(t, "debian", name)
	i := newInstance(t, c, registered(t, name, c, "--instances", "named"), "restored")
	old := i.becomesReady(t).Generation
	snapshot := copyOf(t, i.Image)
	i.boots(t)
	rollback := func(h *host) string {
		for _, r := range records(t, h) {
			if r.Kind == "unlock" && r.Details["rollback"] != "" {
				return r.Outcome + " " + r.Details["rollback"]
			}
		}
		return ""
	}
	i.Image = copyOf(t, snapshot)
	if got := rollback(i.boots(t)); got != "granted reported" {
		t.Errorf("with report: the audit log says %q", got)
	}
	snpguard(t, "image", "instances", name, "--generation", "enforce")
	i.Image = copyOf(t, snapshot)
	refusedKey(t, i.host(t), "rollback")
	snpguard(t, "instance", "allow-restore", i.name, fmt.Sprint(old))
	if got := rollback(i.boots(t)); got != "granted allowed" {
		t.Errorf("once allowed: the audit log says %q", got)
	}
	i.boots(t) // on from there
	i.Image = copyOf(t, snapshot)
	refusedKey(t, i.host(t), "rollback")
}

// TestAutoInstances launches two copies as instances that nobody has created, of an image
// that may have one.
func TestAutoInstances(t *testing.T) {
	t.Parallel()
	const name = "instances-auto"
	c := smallNamed(t, "debian", name)
	bundle := registered(t, name, c, "--instances", "auto", "--instance-limit", "1")
	first, second := copyFor(t, c, bundle, wire.NewUUID(), ""), copyFor(t, c, bundle, wire.NewUUID(), "")
	row := first.becomesReady(t)
	if !row.Auto || !strings.HasPrefix(row.Name, "auto-"+first.id.String()[:8]) {
		t.Errorf("the service has made %+v", row)
	}
	refusedKey(t, second.host(t), "instance_limit")
}
