package ratio

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// PeakMiB returns the largest resident set that a process has had, in MiB: VmHWM
// of proc_pid_status(5). Zero is this process.
func PeakMiB(tb testing.TB, pid int) float64 {
	tb.Helper()
	process := "self"
	if pid != 0 {
		process = fmt.Sprint(pid)
	}
	status, err := os.ReadFile("/proc/" + process + "/status")
	_, after, found := strings.Cut(string(status), "VmHWM:")
	var kib float64
	if _, scanErr := fmt.Sscanf(after, "%f kB", &kib); err != nil || !found || scanErr != nil {
		tb.Fatalf("no VmHWM of process %s in %q: %v", process, status, err)
	}
	return kib / 1024
}
