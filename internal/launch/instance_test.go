package launch_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/asp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/aspport"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

// TestHostDataInReports: what the machine says of HOST_DATA is what the guest's reports
// say, and the measurement is the same with any.
func TestHostDataInReports(t *testing.T) {
	g := guest(t)
	var digests [][48]byte
	for _, data := range [][32]byte{{}, wire.HostData(instance())} {
		launched, err := asp.LaunchFiles(simtest.AMD(t), sim.NewChip(snp.Milan, "a", snp.TCB{}), g, launch.Machine{HostData: data}, false)
		if err != nil {
			t.Fatal(err)
		}
		response, err := launched.Report(aspport.Request{})
		if err != nil {
			t.Fatal(err)
		}
		report, err := snp.ParseReport(response.Report)
		if err != nil || report.HostData != data {
			t.Errorf("HOST_DATA is %x, %v; want %x", report.HostData, err, data)
		}
		digests = append(digests, report.Measurement)
	}
	if digests[0] != digests[1] {
		t.Error("HOST_DATA is measured")
	}
}

// TestDisksHonourFlushes asks QEMU: a re-encryption needs each flush to reach the disk.
// A snapshot, whose writes are forgotten at the end, shows that QEMU tells.
func TestDisksHonourFlushes(t *testing.T) {
	for name, tc := range map[string]struct {
		snapshot bool
		want     []string
	}{"disk": {false, nil}, "snapshot": {true, []string{"disk0"}}} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "qmp-") // t.TempDir is too long for a socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // temporary
			socket := filepath.Join(dir, "s")
			simulated(t, launchtest.Kernel("", launchtest.Hang), func(s *launch.Simulation) { s.Machine.Snapshot = tc.snapshot }, vm.QMPArgs(socket)...)
			q, err := vm.DialQMP(t.Context(), socket)
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close() //nolint:errcheck // the process is killed
			if got, err := q.NoFlush(); err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("without flushes: %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}
