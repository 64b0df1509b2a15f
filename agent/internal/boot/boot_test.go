package boot

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/timeline"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

type lines []string

func (l *lines) Line(_ timeline.Priority, line string) { *l = append(*l, line) }

func TestStepsEndAtTheFirstFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(context.Context) error
		want string
	}{
		"error": {func(context.Context) error { return errors.New("no carrier") }, "snpguard: FAILED: network: no carrier"},
		"panic": {func(context.Context) error { panic("nil map") }, "snpguard: FAILED: network: internal error: nil map"},
	} {
		out, ran := &lines{}, ""
		b := &Boot{Log: timeline.New(out, time.Now)}
		note := func(name string) func(context.Context) error {
			return func(context.Context) error { ran += name + " "; return nil }
		}
		b.runSteps([]Step{{"mounts", note("mounts")}, {"network", tc.do}, {"unlock", note("unlock")}})
		if ran != "mounts " || len(*out) != 1 || (*out)[0] != tc.want {
			t.Errorf("%s: ran %s, logged %q", name, ran, *out)
		}
	}
}

// TestStuckStep gives up a step that takes no notice of the deadline, and leaves
// one alone that ends soon after it.
func TestStuckStep(t *testing.T) {
	for _, tc := range []struct {
		held time.Duration
		want string
	}{
		{stuckAfter - time.Second, ""},
		{time.Hour, "snpguard: FAILED: crypt: the deadline of 1m0s has passed, and the kernel does not return"},
	} {
		synctest.Test(t, func(t *testing.T) {
			out := &lines{}
			b := &Boot{Log: timeline.New(out, time.Now), config: &bootconf.Config{Deadline: 60}}
			began := time.Now()
			b.runSteps([]Step{{"crypt", func(context.Context) error { time.Sleep(time.Minute + tc.held); return nil }}})
			took := time.Since(began)
			if got := strings.Join(*out, ""); got != tc.want || took > time.Minute+stuckAfter {
				t.Errorf("after %v: %q", took, got)
			}
			time.Sleep(tc.held) // until the step has ended too
		})
	}
}

// TestDeadline counts from the start, not from the step that learns of it.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &lines{}
		began := time.Now()
		b := &Boot{Log: timeline.New(out, time.Now)}
		b.runSteps([]Step{
			{"config", func(ctx context.Context) error {
				time.Sleep(10 * time.Second)
				b.config = &bootconf.Config{Deadline: 60}
				return ctx.Err()
			}},
			{"disk", func(ctx context.Context) error { time.Sleep(20 * time.Second); return ctx.Err() }},
			{"network", func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }},
		})
		if took := time.Since(began); took != time.Minute || len(*out) != 1 || (*out)[0] != "snpguard: FAILED: network: the deadline of 1m0s has passed" {
			t.Errorf("after %v: %q", took, *out)
		}
	})
}

// TestOrder pins what comes before what.
func TestOrder(t *testing.T) {
	var names []string
	minimal, distribution := &Boot{config: config(false)}, &Boot{config: config(false)}
	distribution.config.Initrd = bootconf.InitrdDistribution
	for _, s := range slices.Concat(minimal.unlocking(), minimal.starting(), distribution.starting()) {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "mounts config modules disk network unlock root hand-over hand-over" {
		t.Errorf("got %s", got)
	}
	for state, want := range map[wire.InstanceState]string{
		wire.StateNone:    "crypt filesystem clock",
		wire.StateNew:     "instance crypt filesystem clock",
		wire.StateClaimed: "instance crypt filesystem clock",
		wire.StateReady:   "crypt filesystem generation clock",
	} {
		names = nil
		minimal.grant = &unlock.Result{State: state}
		for _, s := range minimal.opening() {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s", state, got)
		}
	}
}

func config(simulated bool) *bootconf.Config {
	return &bootconf.Config{
		Format: 1, ImageID: [16]byte{1}, Simulated: simulated, Services: []string{"https://a"}, CA: testCA, IdentityKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey),
		VMKCommitment: strings.Repeat("ab", 32), Deadline: 60, Network: bootconf.Network{Mode: bootconf.ModeDHCP},
		Root: bootconf.Root{
			PartitionGUID: "9f0f1f5e-3f6d-4b4e-9a35-0123456789ab", SealedVMKOffset: 12 << 20, PayloadOffset: 16 << 20, Cipher: bootconf.Cipher,
			SectorSize: 4096, Filesystem: "ext4", FilesystemUUID: "0f0f1f5e-3f6d-4b4e-9a35-0123456789ab",
			Mount: bootconf.Mount{ReadOnly: true, Options: []string{}},
		},
		Initrd: bootconf.InitrdMinimal, Modules: bootconf.ModulesRequired, UnsealingKey: make([]byte, wire.PublicKeySize),
	}
}

// TestAgentsRefuseEachOthersImages covers both kinds of agents and of images.
func TestAgentsRefuseEachOthersImages(t *testing.T) {
	for _, tc := range []struct {
		image, agent bool
		want         error
	}{{false, false, nil}, {true, true, nil}, {true, false, errForSimulated}, {false, true, errForReal}} {
		encoded, err := config(tc.image).Encode()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, encoded, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := parseConfig(path, tc.agent); !errors.Is(err, tc.want) || (err == nil) != (c != nil) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if _, err := parseConfig(path, false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := parseConfig(path, false); !errors.Is(err, bootconf.ErrConfig) {
		t.Errorf("got %v", err)
	}
}

func TestLink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mapper/cryptroot")
	for _, device := range []string{"dm-0", "dm-1"} { // the second takes the place of the first
		if err := link(device, path); err != nil {
			t.Fatal(err)
		}
		if to, err := os.Readlink(path); err != nil || to != "../"+device {
			t.Errorf("%s, %v", to, err)
		}
	}
}

const testCA = `-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIUd7/4TBeQvfvn8dYfyvebmXf/1FkwCgYIKoZIzj0EAwIw
DTELMAkGA1UEAwwCQ0EwHhcNMjYxMTIzMTkzMTI3WhcNMzYxMTIwMTkzMTI3WjAN
MQswCQYDVQQDDAJDQTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCFLDgQMSanK
WhOgmBqNjRqls8WxTF5pJhnA1rIUp0apWT7Q/Bi+oUusbTxC72U506TWXhmtwYLo
eGOXNnbe5z6jUzBRMB0GA1UdDgQWBBQrjX09RVRsy2ICfXS8eFQ9yOx0CTAfBgNV
HSMEGDAWgBQrjX09RVRsy2ICfXS8eFQ9yOx0CTAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIFNtqbhj6Iz23KeVTqbm5BiBh6y9ZX3QFmhtzUCR7ynY
AiEAi3Eb7zLOWykMNOkS9Zf3CouDs/QMpomdzLFpXRrBv0c=
-----END CERTIFICATE-----
`
