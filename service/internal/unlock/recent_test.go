package unlock_test

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// TestRecalling asks as a fleet does. What operators decide is seen a second later at
// the latest; what was not found is looked up each time; unlocks always are.
func TestRecalling(t *testing.T) {
	w := newWorld(t)
	recalling := w.service.Recalling()
	ask := func(s *unlock.Service) error {
		t.Helper()
		g, body := w.guest(t), []byte("{}")
		call, err := g.NewCall(wire.CallUpdate, w.service.Challenge().Nonce, body)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Prove(t.Context(), "update", unlock.Evidence{
			Report: call.Report, Certificates: call.Certificates, Nonce: call.Nonce, Data: func(image, instance wire.UUID) [64]byte {
				return wire.CallBinding{Nonce: call.Nonce, Image: image, Instance: instance, Body: sha256.Sum256(body)}.ReportData(wire.CallUpdate)
			},
		}, unlock.Caller{})
		return err
	}
	reason := func(err error) audit.Reason {
		if denial := (*unlock.Denial)(nil); errors.As(err, &denial) {
			return denial.Reason
		}
		return ""
	}
	for range 3 {
		if err := ask(recalling); err != nil {
			t.Fatal(err)
		}
	}
	if w.lookedUp.Load() != 1 {
		t.Errorf("three guests took %d lookups", w.lookedUp.Load())
	}
	w.launch.Image.Enabled = false
	if err := ask(w.service); reason(err) != audit.ReasonImageDisabled {
		t.Errorf("a service that does not recall says %v", err)
	}
	w.now = w.now.Add(time.Second)
	if err := ask(recalling); reason(err) != audit.ReasonImageDisabled {
		t.Errorf("a second later: %v", err)
	}
	w.launch.Image.Enabled = true
	w.lookedUp.Store(0)
	w.now = w.now.Add(time.Second)
	w.lookups = errors.New("no database")
	for range 2 {
		if err := ask(recalling); !errors.Is(err, unlock.ErrUnavailable) {
			t.Errorf("without a database: %v", err)
		}
	}
	w.lookups = nil
	if err := ask(recalling); err != nil || w.lookedUp.Load() != 3 {
		t.Errorf("after %d lookups: %v", w.lookedUp.Load(), err)
	}
}
