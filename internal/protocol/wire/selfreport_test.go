package wire_test

import (
	"crypto/sha512"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestSelfReport pins the report data by which a guest learns HOST_DATA, which is that of no
// other message.
func TestSelfReport(t *testing.T) {
	if got := wire.SelfReportData(); got != sha512.Sum512([]byte("\x00\x00\x00\x17snpguard/v1/self-report")) {
		t.Errorf("%x", got)
	}
	var call wire.CallBinding
	for _, other := range [][64]byte{wire.ReportData(nil), wire.UnlockBinding{}.ReportData(), call.ReportData(wire.CallClaim), call.ReportData(wire.CallUpdate)} {
		if other == wire.SelfReportData() {
			t.Error("it is that of another message")
		}
	}
}
