//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/aspport"
)

// TestSecondUnlock plays root of a booted guest, who can have reports and read the
// sealed key as the agent could: the service does not release the key once more.
func TestSecondUnlock(t *testing.T) {
	t.Parallel()
	c := small(t, "debian")
	h := newHost(t, c, registered(t, "small", c))
	expect(t, h.boot(t), `snpguard: .* unlock: key released`, untilAgent)
	sealed, err := os.ReadFile(filepath.Join(c.Staging, staging.NameSealedVMK))
	if err != nil {
		t.Fatal(err)
	}
	service := manager(t)
	challenge, err := service.Challenge(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	public, boot := key.Public().Bytes(), make([]byte, wire.BootKeySize)
	report, err := h.asp.Report(aspport.Request{ReportData: wire.UnlockBinding{
		Nonce: challenge.Nonce, PublicKey: public, BootKey: boot, Image: c.Conversion.ImageID, SealedVMK: sha256.Sum256(sealed), Disk: (&wire.InstanceDisk{}).Hash(),
	}.ReportData()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = service.Unlock(context.Background(), &wire.UnlockRequest{
		Report: report.Report, Certificates: report.CertTable, Nonce: challenge.Nonce, PublicKey: public, BootKey: boot, SealedVMK: sealed,
	})
	if problem := (*wire.Problem)(nil); !errors.As(err, &problem) || problem.Code != wire.CodeDenied {
		t.Errorf("the service answers %v", err)
	}
	found := records(t, h)
	if len(found) != 2 || found[0].Outcome != "denied" || found[0].Reason != "report_id_released" || found[1].Outcome != "granted" {
		t.Errorf("%d audit records: %+v", len(found), found)
	}
}
