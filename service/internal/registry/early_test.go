package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func isRefused(err error) bool {
	return errors.As(err, new(*registry.RefusedError)) || errors.As(err, new(*access.InvalidError))
}

// TestEarlyRefusals are those that need not wait for a gigabyte of initrd.
func TestEarlyRefusals(t *testing.T) {
	w := newWorld(t, &faults{})
	u, id := w.begin(t.Context(), "a")
	must(t, w.fill(t.Context(), u, id))
	_, _, err := u.Finish(t.Context())
	must(t, err)
	registration := wire.Registration{ImageID: wire.NewUUID(), Name: "a", VCPUs: []int{1}, VCPUTypes: []string{"EPYC"}}
	if _, err := w.upload(t.Context(), registration); !errors.Is(err, store.ErrNameTaken) {
		t.Errorf("taken name: %v", err)
	}
	registration.ImageID, registration.Name = id, "b"
	if _, err := w.upload(t.Context(), registration); !errors.Is(err, store.ErrExists) || !strings.Contains(err.Error(), `as "a": add a release`) {
		t.Errorf("taken ID: %v", err)
	}
	other, _ := w.begin(t.Context(), "c")
	firmware := string(vectors.MustRead(t, "measure/inputs/fw/ovmf_OvmfX64_suffix.bin"))
	if err := other.Add(t.Context(), registry.PartFirmware, strings.NewReader(firmware)); !isRefused(err) {
		t.Errorf("firmware that measures no kernel: %v", err)
	}
	for _, part := range []string{registry.PartFirmware, registry.PartKernel, registry.PartInitrd} {
		u, _ := w.begin(t.Context(), "disk image as "+part)
		if err := u.Add(t.Context(), part, strings.NewReader("QFI\xfb\x00\x00\x00\x03")); !isRefused(err) || !strings.Contains(err.Error(), "it is a qcow2 file") {
			t.Errorf("disk image as %s: %v", part, err)
		}
		u.Abort()
	}
}

func TestCheckName(t *testing.T) {
	for name, want := range map[string]bool{"a": true, "\uFFFD": true, "\xff": false, "a\xc3": false, "\xed\xa0\x80": false, "": false} {
		if err := access.CheckName(name); (err == nil) != want || err != nil && !isRefused(err) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestLabels(t *testing.T) {
	w := newWorld(t, &faults{})
	many := func(n int) map[string]string {
		labels := make(map[string]string)
		for i := range n {
			labels[fmt.Sprint("label-", i)] = "x"
		}
		return labels
	}
	for name, tc := range map[string]struct {
		labels map[string]string
		want   bool
	}{
		"most": {many(store.MaxLabels), true}, "too many": {many(store.MaxLabels + 1), false},
		"longest name": {map[string]string{strings.Repeat("a", registry.MaxLabel): ""}, true}, "longer name": {map[string]string{strings.Repeat("a", registry.MaxLabel+1): ""}, false},
		"every letter": {map[string]string{"aZ09._-/": "any text, with = and \u2665"}, true}, "other letter": {map[string]string{"ä": ""}, false},
		"not text": {map[string]string{"a": "\xff"}, false}, "line": {map[string]string{"a": "b\nc"}, false}, "space": {map[string]string{"a": " b"}, false},
	} {
		u, err := w.upload(t.Context(), wire.Registration{
			ImageID: wire.NewUUID(), Name: "a", VCPUs: []int{1}, VCPUTypes: []string{"EPYC"}, Labels: tc.labels,
		})
		if (err == nil) != tc.want || err != nil && !isRefused(err) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			u.Abort()
		}
	}
}
