//go:build sim

package report

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/aspport"
)

// Simulated says whether this build attests to a simulated AMD-SP.
const Simulated = true

// simTimeout bounds one exchange with the simulated AMD-SP.
const simTimeout = 20 * time.Second

// Providers returns the ways to a report, best first.
func Providers() []Provider { return append(chip(), Port{Sys: "/sys", Dev: "/dev"}) }

// Port is the simulated AMD-SP behind a virtio-serial port.
type Port struct{ Sys, Dev string }

// Name returns "simulated-amd-sp".
func (Port) Name() string { return "simulated-amd-sp" }

// find returns the device of the port by its name.
func (p Port) find() (string, error) {
	names, err := filepath.Glob(filepath.Join(p.Sys, "class/virtio-ports/*/name"))
	if err != nil {
		return "", err
	}
	for _, path := range names {
		name, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(name)) == aspport.PortName {
			return filepath.Join(p.Dev, filepath.Base(filepath.Dir(path))), nil
		}
	}
	return "", fmt.Errorf("%w: no virtio-serial port %s", errUnavailable, aspport.PortName)
}

// Report does one exchange.
func (p Port) Report(data [DataSize]byte) (*Evidence, error) {
	path, err := p.find()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// A port that cannot time out is closed instead, which ends the read.
	if err := f.SetDeadline(time.Now().Add(simTimeout)); err != nil {
		timer := time.AfterFunc(simTimeout, func() { f.Close() })
		defer timer.Stop()
	}
	return exchange(f, data)
}

func exchange(port io.ReadWriter, data [DataSize]byte) (*Evidence, error) {
	if _, err := port.Write(aspport.Request{ReportData: data}.Bytes()); err != nil {
		return nil, fmt.Errorf("ask simulated AMD-SP: %w", err)
	}
	response, err := aspport.ReadResponse(bufio.NewReader(port))
	if err != nil {
		return nil, err
	}
	if response.Status != 0 {
		return nil, fmt.Errorf("simulated AMD-SP refuses: status %d", response.Status)
	}
	return &Evidence{Report: response.Report, Certificates: response.CertTable}, nil
}
