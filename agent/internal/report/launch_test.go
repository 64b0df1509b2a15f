package report_test

import (
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestLaunch learns the instance from a report that answers nobody, and refuses later
// reports of another.
func TestLaunch(t *testing.T) {
	id, asked := wire.NewUUID(), [][report.DataSize]byte{}
	host, size, broken := wire.HostData(id), report.Size, error(nil)
	attest := func(data [report.DataSize]byte) (*report.Evidence, error) {
		asked = append(asked, data)
		e := &report.Evidence{Report: make([]byte, size)}
		if size == report.Size {
			copy(e.Report[0xC0:], host[:])
		}
		return e, broken
	}
	launch, err := report.Identify(attest)
	if err != nil || launch.Instance() != id || asked[0] != wire.SelfReportData() {
		t.Fatalf("%v, asked %x", err, asked)
	}
	if e, err := launch.Attest([report.DataSize]byte{7}); err != nil || len(e.Report) != size || asked[1] != [report.DataSize]byte{7} {
		t.Errorf("%v, asked %x", err, asked)
	}
	host[31] ^= 1
	if _, err := launch.Attest([report.DataSize]byte{}); err == nil {
		t.Error("HOST_DATA of another launch was taken")
	}
	host = [wire.HostDataSize]byte{1}
	if launch, err := report.Identify(attest); err != nil || !launch.Instance().IsZero() {
		t.Errorf("no instance: %v", err)
	}
	size--
	if _, err := report.Identify(attest); err == nil {
		t.Error("a short report was taken")
	}
	if _, err := launch.Attest([report.DataSize]byte{}); err == nil {
		t.Error("a short report was taken")
	}
	broken = errors.New("firmware is busy")
	if _, err := report.Identify(attest); !errors.Is(err, broken) {
		t.Errorf("no report: %v", err)
	}
	if _, err := launch.Attest([report.DataSize]byte{}); !errors.Is(err, broken) {
		t.Errorf("no report: %v", err)
	}
}
