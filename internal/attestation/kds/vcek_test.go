package kds_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

func TestVCEKOfEveryProduct(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	for _, p := range snp.Products() {
		chip := sim.NewChip(p, "a", snp.TCB{BootLoader: 1, TEE: 2, SNP: 3, Microcode: 213})
		if p == snp.Turin {
			chip.TCB.FMC = 4
		}
		cert, err := vcek(t.Context(), c, chip)
		if err != nil {
			t.Fatal(err)
		}
		want, err := w.amd.VCEK(chip)
		if err != nil {
			t.Fatal(err)
		}
		if !want.Key.PublicKey.Equal(cert.PublicKey) {
			t.Errorf("%s: not the chip's certificate", p)
		}
		chain, err := c.Chain(t.Context(), p, snp.SignedByVCEK)
		if err != nil || !chain.ASK.Equal(w.amd.Line(p).ASK.Certificate) || !chain.ARK.Equal(w.amd.Line(p).ARK.Certificate) {
			t.Errorf("%s: got chain %v, %v", p, chain, err)
		}
	}
	w.wantRequests(6, "") // a VCEK and a chain each
}

func TestVLEKChain(t *testing.T) {
	w := newWorld(t)
	chain, err := w.client().Chain(t.Context(), snp.Milan, snp.SignedByVLEK)
	if err != nil || !chain.ASK.Equal(w.amd.Line(snp.Milan).ASVK.Certificate) {
		t.Errorf("got chain %v, %v", chain, err)
	}
	w.wantRequests(1, "/vlek/v1/Milan/cert_chain")
}

// A fleet boots: 100 guests of one chip that nobody has asked about yet.
func TestOneRequestForManyCallers(t *testing.T) {
	w := newWorld(t)
	c := w.client(known(w.amd))
	const callers = 100
	var started sync.WaitGroup
	started.Add(callers)
	w.kds.Set(func(b *sim.Behaviour) { b.Before = func(*http.Request) { started.Wait() } })
	var done sync.WaitGroup
	for range callers {
		done.Go(func() {
			started.Done()
			if _, err := vcek(t.Context(), c, milan("a")); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	w.wantRequests(1, "")
}

// The caller that happened to come first goes away; the others do not notice.
func TestCancelledCallerLeavesTheOthers(t *testing.T) {
	w := newWorld(t)
	c := w.client(known(w.amd))
	asked, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.kds.Set(func(b *sim.Behaviour) {
		b.Before = func(*http.Request) { once.Do(func() { close(asked) }); <-answer }
	})
	first, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := vcek(first, c, milan("a"))
		gone <- err
	}()
	<-asked
	second := make(chan error)
	go func() {
		_, err := vcek(t.Context(), c, milan("a"))
		second <- err
	}()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("first caller: got %v", err)
	}
	close(answer)
	if err := <-second; err != nil {
		t.Errorf("second caller: %v", err)
	}
	w.wantRequests(1, "")
}

func TestCachedChipWhileKDSIsDown(t *testing.T) {
	w := newWorld(t)
	if _, err := vcek(t.Context(), w.client(), milan("a")); err != nil {
		t.Fatal(err)
	}
	w.server.Close()
	for name, c := range map[string]*kds.Client{"down": w.client(), "offline": w.client(offline)} {
		if _, err := vcek(t.Context(), c, milan("a")); err != nil {
			t.Errorf("%s: cached chip: %v", name, err)
		}
		if _, err := c.Chain(t.Context(), snp.Milan, snp.SignedByVCEK); err != nil {
			t.Errorf("%s: cached chain: %v", name, err)
		}
		if _, err := vcek(t.Context(), c, milan("b")); !errors.Is(err, kds.ErrUnavailable) {
			t.Errorf("%s: other chip: got %v, want %v", name, err, kds.ErrUnavailable)
		}
	}
}

func TestUnknownChipIsRemembered(t *testing.T) {
	w := newWorld(t)
	unknown := true
	w.kds.Set(func(b *sim.Behaviour) { b.Unknown = func(sim.Chip) bool { return unknown } })
	c := w.client(known(w.amd))
	for range 3 {
		if _, err := vcek(t.Context(), c, milan("a")); !errors.Is(err, kds.ErrUnknownChip) {
			t.Fatalf("got %v, want %v", err, kds.ErrUnknownChip)
		}
		w.time.pass(3 * time.Minute)
	}
	w.wantRequests(1, "")
	w.kds.Set(func(*sim.Behaviour) { unknown = false })
	w.time.pass(11 * time.Minute)
	if _, err := vcek(t.Context(), c, milan("a")); err != nil {
		t.Error(err)
	}
	w.wantRequests(2, "")
}

func TestHiddenChipID(t *testing.T) {
	w := newWorld(t)
	if _, err := vcek(t.Context(), w.client(), sim.Chip{Product: snp.Milan}); err == nil {
		t.Error("VCEK for chip ID zero")
	}
	w.wantRequests(0, "")
}
