package report

import (
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// hostDataOffset is HOST_DATA's in a report (56860, table ATTESTATION_REPORT).
const hostDataOffset = 0xC0

// Attest returns a report with the given REPORT_DATA.
type Attest func(data [DataSize]byte) (*Evidence, error)

// Launch is the launch of this guest, whose reports all have the same HOST_DATA.
type Launch struct {
	attest   Attest
	hostData [wire.HostDataSize]byte
}

// errHostData is a report of another launch, or a firmware that does not keep its word.
var errHostData = errors.New("HOST_DATA is not that of this launch's first report")

// Identify asks for a report to learn HOST_DATA of this launch.
func Identify(attest Attest) (*Launch, error) {
	e, err := attest(wire.SelfReportData())
	if err != nil {
		return nil, fmt.Errorf("get attestation report: %w", err)
	}
	if len(e.Report) != Size {
		return nil, fmt.Errorf("%w: %d bytes, want %d", errMalformed, len(e.Report), Size)
	}
	return &Launch{attest, hostData(e.Report)}, nil
}

// LaunchOf is Identify for a launch whose HOST_DATA is known.
func LaunchOf(attest Attest, hostData [wire.HostDataSize]byte) *Launch {
	return &Launch{attest, hostData}
}

func hostData(report []byte) [wire.HostDataSize]byte {
	return [wire.HostDataSize]byte(report[hostDataOffset:])
}

// Instance is the one that HOST_DATA names, or zero. The host chose it.
func (l *Launch) Instance() wire.UUID { return wire.HostInstance(l.hostData) }

// Attest returns a report with the given REPORT_DATA and the launch's HOST_DATA: by it
// the service knows what the call is bound to.
func (l *Launch) Attest(data [DataSize]byte) (*Evidence, error) {
	e, err := l.attest(data)
	if err != nil {
		return nil, fmt.Errorf("get attestation report: %w", err)
	}
	if len(e.Report) != Size {
		return nil, fmt.Errorf("%w: %d bytes, want %d", errMalformed, len(e.Report), Size)
	}
	if hostData(e.Report) != l.hostData {
		return nil, errHostData
	}
	return e, nil
}
