package main

import (
	"crypto/ecdsa"
	"crypto/sha512"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
)

// load is a service with SQLite and many guests that are about to ask.
type load struct {
	process *process
	client  *client.Client
	image   *registered
	host    *guesttest.Host
}

func newLoad(b *testing.B) *load {
	b.Helper()
	s := simulate(b)
	p := start(b, s.flags("--data", filepath.Join(b.TempDir(), "data"), "--rate-per-address", "1000000", "--rate-total", "1000000")...)
	c, l := login(b, p)
	return &load{p, c, register(b, c, l.IngestionKey, nil), s.host}
}

// each runs work for n guests, many at once.
func each(b *testing.B, n, parallel int, work func(i int) error) {
	b.Helper()
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for i := range jobs {
				if err := work(i); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
}

// unlocks has n guests unlock and returns how long the service took. What the
// guests themselves compute, keys and signed reports, is not counted.
func (l *load) unlocks(b *testing.B, n, parallel int) time.Duration {
	b.Helper()
	requests := make([]*wire.UnlockRequest, n)
	return l.answered(b, n, parallel, func(i int, g *guesttest.Guest, nonce []byte) (err error) {
		requests[i], err = g.NewRequest(nonce)
		return err
	}, func(i int) error {
		_, err := l.client.Unlock(b.Context(), requests[i])
		return err
	})
}

// answered returns how long the service takes to give n guests a nonce each and to
// answer what they send. How long they take to prepare that does not count.
func (l *load) answered(b *testing.B, n, parallel int, prepare func(i int, g *guesttest.Guest, nonce []byte) error, send func(i int) error) time.Duration {
	b.Helper()
	challenges := make([]*wire.Challenge, n)
	start := time.Now()
	each(b, n, parallel, func(i int) (err error) {
		challenges[i], err = l.client.Challenge(b.Context())
		return err
	})
	took := time.Since(start)
	each(b, n, 2, func(i int) error {
		g, err := l.image.newGuest(l.host)
		if err != nil {
			return err
		}
		return prepare(i, g, challenges[i].Nonce)
	})
	start = time.Now()
	each(b, n, parallel, send)
	return took + time.Since(start)
}

// bound returns what one unlock costs at least: one P-384 verification, opening
// one VMK and sealing one.
func (l *load) bound(b *testing.B, n int) time.Duration {
	b.Helper()
	key, digest := l.host.VEK.Key, sha512.Sum384([]byte("report"))
	signature, err := ecdsa.SignASN1(nil, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	info := wire.SealedVMKInfo(l.image.ID)
	start := time.Now()
	for range n {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			b.Fatal("not verified")
		}
		vmk, err := l.image.Unsealing.Open(info, l.image.SealedVMK)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.image.Unsealing.Public().Seal(info, vmk); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start)
}

// BenchmarkRatioUnlocks reports the rate of unlocks over HTTPS, durable audit
// included, as a part of what one core's cryptography allows: at least 0.6.
// The table shows the inverse, which should stay under 1.67.
func BenchmarkRatioUnlocks(b *testing.B) {
	l := newLoad(b)
	l.unlocks(b, 100, 16) // connections, caches
	const n = 400
	var took, bound time.Duration
	for b.Loop() {
		took += l.unlocks(b, n, 32)
		bound += l.bound(b, n)
	}
	ratio.Report(b, "x-cryptography", 1/0.6, float64(took)/float64(bound))
}

// updates has n guests ask for an update and returns how long the service took, as
// unlocks does.
func (l *load) updates(b *testing.B, n, parallel int) time.Duration {
	b.Helper()
	calls := make([]*wire.GuestCall, n)
	return l.answered(b, n, parallel, func(i int, g *guesttest.Guest, nonce []byte) error {
		asks := wire.UpdateRequest{Machine: wire.UUID{1, byte(i >> 8), byte(i)}, Running: "6.12.1", Kernels: []wire.InstalledKernel{
			{Release: "6.12.1", SHA256: strings.Repeat("0a", 32), Modules: true}, {Release: "6.12.2", SHA256: strings.Repeat("0b", 32), Modules: true},
		}}
		body, err := json.Marshal(asks)
		if err != nil {
			return err
		}
		calls[i], err = g.NewCall(wire.CallUpdate, nonce, body)
		return err
	}, func(i int) error {
		_, err := l.client.Update(b.Context(), calls[i])
		return err
	})
}

// verifications returns how long it takes to verify n signatures of reports.
func (l *load) verifications(b *testing.B, n int) time.Duration {
	b.Helper()
	key, digest := l.host.VEK.Key, sha512.Sum384([]byte("report"))
	signature, err := ecdsa.SignASN1(nil, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	for range n {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			b.Fatal("not verified")
		}
	}
	return time.Since(start)
}

// BenchmarkRatioUpdates reports how long the service takes for guests that ask for an
// update over HTTPS, as they do every day: each is a machine of its own, which is kept
// durably, and there is none. It is a multiple of one signature verification each.
func BenchmarkRatioUpdates(b *testing.B) {
	l := newLoad(b)
	const n = 400
	l.updates(b, n, 16) // connections, caches, machines
	var took, bound time.Duration
	for b.Loop() {
		took += l.updates(b, n, 32)
		bound += l.verifications(b, n)
	}
	ratio.Report(b, "x-verifications", 1/0.6, float64(took)/float64(bound))
}

// BenchmarkRatioGuestMemory reports the service's largest resident set while a
// thousand guests hold connections and ask at once.
func BenchmarkRatioGuestMemory(b *testing.B) {
	l := newLoad(b)
	for b.Loop() {
		l.unlocks(b, 1000, 1000)
	}
	ratio.Report(b, "MiB", 256, ratio.PeakMiB(b, l.process.cmd.Process.Pid))
}
