// Package report asks the AMD-SP for attestation reports, by whichever way the
// kernel offers: configfs-tsm, the same for every kind of confidential guest, or
// the older device /dev/sev-guest. A build with the tag "sim" adds the simulated
// AMD-SP; any other build does not contain it.
//
// It follows AMD, SEV Secure Nested Paging Firmware ABI, publication 56860 rev.
// 1.58. The host passes on reports and certificates and may change them; the
// service checks both. Here only the shape is checked, and that a report answers
// this request.
package report

import (
	"bytes"
	"errors"
	"fmt"
)

// Sizes in bytes (56860, table ATTESTATION_REPORT).
const (
	Size           = 0x4A0 // a report
	DataSize       = 64    // REPORT_DATA
	dataOffset     = 0x50
	maxTableSize   = 64 << 10 // of a certificate table, what a service takes
	tableEntrySize = 24       // an entry of zeros ends the table
)

// errUnavailable is a way that this machine does not have.
var errUnavailable = errors.New("not available")

// errMalformed is an answer that is no report, or not for this request.
var errMalformed = errors.New("malformed report")

// Evidence is a report and what the host gave with it.
type Evidence struct {
	Report       []byte // Size bytes
	Certificates []byte // certificate table, nil when the host gave none
	Provider     string // the way that it came
}

// Provider is one way to a report.
type Provider interface {
	// Name is a word for the log.
	Name() string
	// Report asks for a report at VMPL 0. The error wraps errUnavailable when
	// this machine does not have this way.
	Report(data [DataSize]byte) (*Evidence, error)
}

// Get asks the providers in turn and takes the first report. The error tells
// what each said.
func Get(providers []Provider, data [DataSize]byte) (*Evidence, error) {
	var errs []error
	for _, p := range providers {
		e, err := p.Report(data)
		if err == nil {
			e, err = checked(e, data)
		}
		if err == nil {
			e.Provider = p.Name()
			return e, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", p.Name(), err))
	}
	return nil, oneLine(errs)
}

// checked wants a report of the right size with the requested REPORT_DATA. A
// certificate table that is empty or too large is left out: the service can ask
// AMD.
func checked(e *Evidence, data [DataSize]byte) (*Evidence, error) {
	if len(e.Report) != Size {
		return nil, fmt.Errorf("%w: %d bytes, want %d", errMalformed, len(e.Report), Size)
	}
	if !bytes.Equal(e.Report[dataOffset:dataOffset+DataSize], data[:]) {
		return nil, fmt.Errorf("%w: it is for another request", errMalformed)
	}
	if len(e.Certificates) < tableEntrySize || len(e.Certificates) > maxTableSize ||
		bytes.Equal(e.Certificates[:tableEntrySize], make([]byte, tableEntrySize)) {
		e.Certificates = nil
	}
	return e, nil
}

// oneLine joins errors in one line; errors.Join would need several.
func oneLine(errs []error) error {
	var all error
	for _, err := range errs {
		if all == nil {
			all = err
			continue
		}
		all = fmt.Errorf("%w; %w", all, err)
	}
	if all == nil {
		all = errUnavailable
	}
	return all
}
