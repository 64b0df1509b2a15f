package update_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/artifacts"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/update"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestUpdate is the way from an installed kernel to a confirmed release.
func TestUpdate(t *testing.T) {
	w := newWorld(t)
	old, release := w.running, wire.NewUUID()
	w.offer(release, "kernel 2")
	w.write(update.PathSettings, `{"reboot": "now"}`)
	must(t, w.guest().Update(t.Context(), update.Options{}))
	if want := []string{"write B", "switch B true"}; !slices.Equal(w.slots.did, want) || !slices.Equal(w.rebooted, []string{"now"}) {
		t.Fatalf("did %q, rebooted %q\n%s", w.slots.did, w.rebooted, w.log.String())
	}
	if string(w.slots.files[slots.B][bundle.NameKernel]) != "kernel 2" || len(w.slots.files[slots.B]) < 6 {
		t.Errorf("slot B holds %d files", len(w.slots.files[slots.B]))
	}
	asks := w.asked[0]
	if asks.Running != "6.12.57+deb13-cloud-amd64" || len(asks.Kernels) != 2 || asks.Kernels[0].Release != kernelName || !asks.Kernels[0].Modules || !asks.Failed.IsZero() {
		t.Errorf("asked %+v", asks)
	}
	w.nothingIsLeft()

	w.boots("second")
	w.runs(release)
	must(t, w.guest().Confirm(t.Context()))
	if w.slots.state != (slots.State{Active: slots.B}) || len(w.said) != 1 || w.said[0].Machine != asks.Machine {
		t.Errorf("state %+v, said %+v", w.slots.state, w.said)
	}
	w.answer = wire.UpdateAnswer{State: wire.UpdateNone}
	must(t, w.guest().Update(t.Context(), update.Options{}))
	if last := w.asked[len(w.asked)-1]; !last.Failed.IsZero() || last.Failed == old {
		t.Errorf("asked %+v", last)
	}
	if text := w.log.String(); !strings.Contains(text, "up to date: release "+release.String()) {
		t.Errorf("told\n%s", text)
	}
}

// nothingIsLeft wants no bundle beside what the agent keeps.
func (w *world) nothingIsLeft() {
	w.t.Helper()
	left, err := filepath.Glob(filepath.Join(w.root, "var/lib/snpguard/bundle-*"))
	if err != nil || len(left) != 0 {
		w.t.Errorf("left %q, %v", left, err)
	}
}

// TestFailedRelease comes back to the old release after a trial.
func TestFailedRelease(t *testing.T) {
	w := newWorld(t)
	release := wire.NewUUID()
	w.offer(release, "kernel 2")
	must(t, w.guest().Update(t.Context(), update.Options{Reboot: true}))
	w.boots("third") // the second was that of the release, and did not get here
	w.answer = wire.UpdateAnswer{State: wire.UpdateNone}
	must(t, w.guest().Confirm(t.Context()))
	if w.slots.state != (slots.State{Active: slots.B, Trial: true}) {
		t.Errorf("a release that does not run is confirmed: %+v", w.slots.state)
	}
	must(t, w.guest().Update(t.Context(), update.Options{Reboot: true}))
	if last := w.asked[len(w.asked)-1]; last.Failed != release {
		t.Errorf("asked %+v", last)
	}
	if len(w.rebooted) != 1 || !strings.Contains(w.log.String(), release.String()+" was tried and did not come up") {
		t.Errorf("rebooted %q\n%s", w.rebooted, w.log.String())
	}
	// Another release, or the same by hand, takes the slot: the trial has ended.
	w.offer(release, "kernel 2")
	w.slots.did = nil
	must(t, w.guest().Update(t.Context(), update.Options{Again: true}))
	if last := w.asked[len(w.asked)-1]; !last.Failed.IsZero() {
		t.Errorf("asked %+v", last)
	}
	if want := []string{"switch A false", "write B", "switch B true"}; !slices.Equal(w.slots.did, want) {
		t.Errorf("did %q", w.slots.did)
	}
}

// TestWaitsForReboot asks again before the machine has rebooted.
func TestWaitsForReboot(t *testing.T) {
	w := newWorld(t)
	w.offer(wire.NewUUID(), "kernel 2")
	must(t, w.guest().Update(t.Context(), update.Options{}))
	must(t, w.guest().Update(t.Context(), update.Options{}))
	if w.fetched != 1 || len(w.rebooted) != 0 || !strings.Contains(w.log.String(), "waits for a reboot") {
		t.Errorf("fetched %d times, rebooted %q\n%s", w.fetched, w.rebooted, w.log.String())
	}
	must(t, w.guest().Update(t.Context(), update.Options{Reboot: true}))
	if w.fetched != 1 || !slices.Equal(w.rebooted, []string{"now"}) {
		t.Errorf("fetched %d times, rebooted %q", w.fetched, w.rebooted)
	}
}

func TestCheckAndWaiting(t *testing.T) {
	w := newWorld(t)
	w.offer(wire.NewUUID(), "kernel 2")
	w.answer.Waiting = []string{"6.13"}
	must(t, w.guest().Update(t.Context(), update.Options{Check: true}))
	w.answer = wire.UpdateAnswer{State: wire.UpdateWaiting, Waiting: []string{"6.14"}}
	must(t, w.guest().Update(t.Context(), update.Options{}))
	if w.fetched != 0 || len(w.slots.did) != 0 {
		t.Errorf("fetched %d, did %q", w.fetched, w.slots.did)
	}
	for _, want := range []string{"available: release", "waiting for a release with the installed kernel 6.13", "kernel 6.14"} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("no %q in\n%s", want, w.log.String())
		}
	}
}

// TestHostileBundles has the host, or whoever plays the service, send another bundle
// than the one that the service named: nothing of it gets to the disk.
func TestHostileBundles(t *testing.T) {
	older := wire.NewUUID()
	for name, tc := range map[string]struct {
		send func(w *world, good bundle.Release) []byte
		want string
	}{
		"an older release, put back": {func(w *world, _ bundle.Release) []byte {
			return w.encode(w.release(older, []byte("kernel 2")), w.identity)
		}, "another image or release"},
		"another image": {func(w *world, good bundle.Release) []byte {
			good.Image = wire.NewUUID()
			return w.encode(good, w.identity)
		}, "another image or release"},
		"another kernel": {func(w *world, good bundle.Release) []byte {
			return w.encode(w.release(good.Release, []byte("kernel 3")), w.identity)
		}, "not the installed one"},
		"another identity": {func(w *world, good bundle.Release) []byte {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			must(w.t, err)
			return w.encode(good, key)
		}, bundle.ErrSignature.Error()},
		"changed manifest": {func(w *world, good bundle.Release) []byte {
			return bytes.Replace(w.encode(good, w.identity), []byte("firmware"), []byte("Firmware"), 1)
		}, bundle.ErrSignature.Error()},
		"changed kernel": {func(w *world, good bundle.Release) []byte {
			return bytes.Replace(w.encode(good, w.identity), []byte("kernel 2"), []byte("kernel 9"), 1)
		}, bundle.ErrBundle.Error()},
		"cut short": {func(w *world, good bundle.Release) []byte { b := w.encode(good, w.identity); return b[:len(b)/2] }, bundle.ErrBundle.Error()},
		"empty":     {func(*world, bundle.Release) []byte { return nil }, bundle.ErrBundle.Error()},
		"endless": {func(w *world, good bundle.Release) []byte {
			return w.encode(w.release(good.Release, bytes.Repeat([]byte("k"), 65<<20)), w.identity)
		}, bundle.ErrBundle.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			release := wire.NewUUID()
			w.offer(release, "kernel 2")
			w.bundle = tc.send(w, w.release(release, []byte("kernel 2")))
			err := w.guest().Update(t.Context(), update.Options{Reboot: true})
			if err == nil || !strings.Contains(err.Error(), tc.want) || len(w.slots.did) != 0 || len(w.rebooted) != 0 {
				t.Errorf("%v, did %q, rebooted %q", err, w.slots.did, w.rebooted)
			}
			w.nothingIsLeft()
		})
	}
}

// TestForgedAnswers has answers that the service did not give to this call.
func TestForgedAnswers(t *testing.T) {
	var first wire.GuestAnswer
	for name, forge := range map[string]func(w *world, call wire.Call, data [64]byte, a *wire.GuestAnswer){
		"changed": func(_ *world, _ wire.Call, _ [64]byte, a *wire.GuestAnswer) {
			a.Body = bytes.Replace(a.Body, []byte("available"), []byte("Available"), 1)
		},
		"another key": func(_ *world, call wire.Call, data [64]byte, a *wire.GuestAnswer) {
			_, key, _ := ed25519.GenerateKey(rand.Reader)
			a.Signature = ed25519.Sign(key, wire.AnswerTranscript(call, data, a.Body))
		},
		"to another call": func(w *world, call wire.Call, data [64]byte, a *wire.GuestAnswer) {
			other := wire.CallConfirm
			if call == other {
				other = wire.CallUpdate
			}
			a.Signature = ed25519.Sign(w.identity, wire.AnswerTranscript(other, data, a.Body))
		},
		"to another nonce": func(w *world, call wire.Call, data [64]byte, a *wire.GuestAnswer) {
			data[0]++
			a.Signature = ed25519.Sign(w.identity, wire.AnswerTranscript(call, data, a.Body))
		},
		"replayed": func(_ *world, _ wire.Call, _ [64]byte, a *wire.GuestAnswer) {
			if first.Body == nil {
				first = *a
				a.Signature = nil
				return
			}
			*a = first
		},
		"no signature": func(_ *world, _ wire.Call, _ [64]byte, a *wire.GuestAnswer) { a.Signature = make([]byte, 64) },
		"signed, no JSON": func(w *world, call wire.Call, data [64]byte, a *wire.GuestAnswer) {
			a.Body = []byte("x")
			a.Signature = ed25519.Sign(w.identity, wire.AnswerTranscript(call, data, a.Body))
		},
		"signed, no state": func(w *world, call wire.Call, data [64]byte, a *wire.GuestAnswer) {
			a.Body = []byte("{}")
			a.Signature = ed25519.Sign(w.identity, wire.AnswerTranscript(call, data, a.Body))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.offer(wire.NewUUID(), "kernel 2")
			w.forge = func(call wire.Call, data [64]byte, a *wire.GuestAnswer) { forge(w, call, data, a) }
			first = wire.GuestAnswer{}
			for range 2 {
				if err := w.guest().Update(t.Context(), update.Options{Reboot: true}); err == nil {
					t.Error("the update took the answer")
				}
			}
			if err := w.guest().Confirm(t.Context()); err == nil && name != "changed" {
				t.Error("the confirmation took the answer")
			}
			if w.fetched != 0 || len(w.rebooted) != 0 || slices.Contains(w.slots.did, "write B") {
				t.Errorf("fetched %d, did %q", w.fetched, w.slots.did)
			}
		})
	}
}

func TestDenied(t *testing.T) {
	w := newWorld(t)
	w.refuse = 403
	if err := w.guest().Update(t.Context(), update.Options{}); !errors.Is(err, service.ErrDenied) || !strings.Contains(err.Error(), "request r1") {
		t.Errorf("update: %v", err)
	}
	// The disk is confirmed all the same: the system has booted.
	w.slots.state.Trial = true
	if err := w.guest().Confirm(t.Context()); !errors.Is(err, service.ErrDenied) || w.slots.state.Trial {
		t.Errorf("confirm: %v, %+v", err, w.slots.state)
	}
}

// TestNoSlots is a disk from before there were slots.
func TestNoSlots(t *testing.T) {
	w := newWorld(t)
	w.none = artifacts.ErrNone
	must(t, w.guest().Confirm(t.Context()))
	w.offer(wire.NewUUID(), "kernel 2")
	if err := w.guest().Update(t.Context(), update.Options{Reboot: true}); !errors.Is(err, artifacts.ErrNone) || w.fetched != 0 || len(w.rebooted) != 0 {
		t.Errorf("%v, fetched %d", err, w.fetched)
	}
}

// TestForgedSlot has a slot on trial that the host filled: with the running release's
// manifest under another signature, it is not confirmed.
func TestForgedSlot(t *testing.T) {
	w := newWorld(t)
	w.slots.state.Trial = true
	w.slots.files[slots.A][bundle.NameSignature] = make([]byte, 64)
	must(t, w.guest().Confirm(t.Context()))
	if !w.slots.state.Trial {
		t.Error("it is confirmed")
	}
}

// TestSwitchedSlots has the host make the other slot active, without a trial: the
// release that runs is not overwritten.
func TestSwitchedSlots(t *testing.T) {
	w := newWorld(t)
	w.fill(slots.B, w.release(wire.NewUUID(), []byte("kernel 0")))
	w.slots.state.Active = slots.B
	w.write("var/lib/snpguard/bundle-cut/vmlinuz", "half")
	w.offer(wire.NewUUID(), "kernel 2")
	must(t, w.guest().Update(t.Context(), update.Options{}))
	if want := []string{"switch A false", "write B", "switch B true"}; !slices.Equal(w.slots.did, want) {
		t.Errorf("did %q", w.slots.did)
	}
	w.nothingIsLeft()
}

// TestBrokenDisk fails in each step of the slots: nothing reboots.
func TestBrokenDisk(t *testing.T) {
	broken := errors.New("broken")
	for _, step := range []string{"write B", "switch B true"} {
		w := newWorld(t)
		w.offer(wire.NewUUID(), "kernel 2")
		w.slots.fail = map[string]error{step: broken}
		if err := w.guest().Update(t.Context(), update.Options{Reboot: true}); !errors.Is(err, broken) || len(w.rebooted) != 0 {
			t.Errorf("%s: %v, rebooted %q", step, err, w.rebooted)
		}
		w.nothingIsLeft()
	}
}

func TestSettings(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, update.PathSettings)
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	if s, err := update.ReadSettings(root); err != nil || s.Reboot != update.RebootNever {
		t.Errorf("no file: %+v, %v", s, err)
	}
	for content, want := range map[string]string{
		`{"reboot": "now"}`: "now", `{"reboot": "never"}`: "never", `{"reboot": "04:30"}`: "04:30", `{}`: "never",
		`{"reboot": "4:30"}`: "", `{"reboot": "24:00"}`: "", `{"reboot": "soon"}`: "", `{"reboot": ""}`: "", `{"Reboot": "now"}`: "", `now`: "", `{"reboot": "+0; ls"}`: "",
	} {
		must(t, os.WriteFile(path, []byte(content), 0o600))
		if s, err := update.ReadSettings(root); (err == nil) != (want != "") || s.Reboot != want {
			t.Errorf("%s: %+v, %v", content, s, err)
		}
	}
}

func TestKernels(t *testing.T) {
	w := newWorld(t)
	w.write("usr/lib/modules/6.13.1-200.fc43.x86_64/vmlinuz", "fedora")
	w.write("boot/vmlinuz-6.9.9", "no modules")
	w.write("boot/vmlinuz-..", "strange")
	w.write("boot/vmlinuz-<b>", "strange")
	w.write("boot/config-6.9.9", "no kernel")
	w.write("boot/vmlinuz-6.9.7/file", "a directory")
	w.write("usr/lib/modules/6.12.57+deb13-cloud-amd64/vmlinuz", "kernel 1") // the same as in /boot
	must(t, os.Symlink("/etc/hostname", filepath.Join(w.root, "boot/vmlinuz-6.9.8")))
	must(t, os.Symlink("vmlinuz-6.9.9", filepath.Join(w.root, "boot/vmlinuz-6.9.10")))
	found, err := update.Kernels(w.root)
	must(t, err)
	var got []string
	for _, k := range found {
		name := k.Release
		if k.Modules {
			name += " +"
		}
		got = append(got, name)
	}
	if want := []string{"6.13.1-200.fc43.x86_64", "6.12.57+deb13-cloud-amd64 +", "6.9.9"}; !slices.Equal(got, want) {
		t.Errorf("found %q", got)
	}
	for i := range 40 {
		w.kernel("7.0."+strings.Repeat("1", i+1), "k")
	}
	if found, err = update.Kernels(w.root); err != nil || len(found) != wire.MaxKernels {
		t.Errorf("%d kernels, %v", len(found), err)
	}
	if found, err = update.Kernels(t.TempDir()); err != nil || len(found) != 0 {
		t.Errorf("%d kernels, %v", len(found), err)
	}
	// What leads out of the root is not read.
	outside := t.TempDir()
	must(t, os.Mkdir(filepath.Join(outside, "boot"), 0o700))
	must(t, os.Symlink(filepath.Join(w.root, "boot"), filepath.Join(outside, "boot2")))
	must(t, errors.Join(os.Remove(filepath.Join(outside, "boot")), os.Rename(filepath.Join(outside, "boot2"), filepath.Join(outside, "boot"))))
	if found, err := update.Kernels(outside); err == nil {
		t.Errorf("found %+v", found)
	}
}

// TestMissing takes away what a boot leaves.
func TestMissing(t *testing.T) {
	for _, name := range []string{"run/snpguard/status.json", "run/snpguard/config.json", "etc/machine-id", "proc/sys/kernel/osrelease", "proc/sys/kernel/random/boot_id"} {
		w := newWorld(t)
		must(t, os.Remove(filepath.Join(w.root, name)))
		if err := errors.Join(w.guest().Update(t.Context(), update.Options{})); err == nil || len(w.asked) != 0 {
			t.Errorf("without %s: %v", name, err)
		}
		if err := w.guest().Confirm(t.Context()); err == nil || len(w.said) != 0 {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
