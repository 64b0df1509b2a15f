package launch

import (
	"bufio"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// TestMonitor plays QEMU.
func TestMonitor(t *testing.T) {
	const greeting = `{"QMP": {"version": {"qemu": {"micro": 2, "minor": 1, "major": 9}}, "capabilities": ["oob"]}}` + "\r\n" + `{"return": {}}` + "\r\n"
	event := func(name, data string) string {
		return `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "` + name + `", "data": ` + data + "}\r\n"
	}
	for name, tc := range map[string]struct {
		says string
		want Ending
		fail string
	}{
		"power-off":      {greeting + event("RESUME", "{}") + event("SHUTDOWN", `{"guest": true, "reason": "guest-shutdown"}`), "guest-shutdown", ""},
		"reset":          {greeting + event("SHUTDOWN", `{"guest": true, "reason": "guest-reset"}`), EndedReset, ""},
		"panic":          {greeting + event("GUEST_PANICKED", `{"action": "poweroff"}`) + event("SHUTDOWN", `{"guest": true, "reason": "guest-panic"}`), EndedPanic, ""},
		"killed":         {greeting, "", ""},
		"nothing":        {"", "", ""},
		"refuses":        {greeting + `{"error": {"class": "GenericError", "desc": "cannot run"}}` + "\r\n", "", "it refuses: cannot run"},
		"not JSON":       {"SSH-2.0\r\n", "", "not a JSON object"},
		"an endless one": {strings.Repeat(" ", maxMessage+1) + "\r\n" + event("SHUTDOWN", `{"reason": "guest-reset"}`), "", ""},
	} {
		m, err := ListenMonitor(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		args := strings.Join(m.Args(), " ")
		if want := "-S -chardev socket,id=qmp0,path="; !strings.HasPrefix(args, want) || !strings.HasSuffix(args, "-mon chardev=qmp0,mode=control") {
			t.Errorf("arguments %s", args)
		}
		conn, err := net.Dial("unix", m.path)
		if err != nil {
			t.Fatal(err)
		}
		asked, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || asked != `{"execute":"qmp_capabilities"}{"execute":"cont"}`+"\n" {
			t.Errorf("%s: asked %q, %v", name, asked, err)
		}
		conn.Write([]byte(tc.says)) //nolint:errcheck // the monitor may have gone away
		conn.Close()
		got, err := m.Close()
		if got != tc.want || (err == nil) != (tc.fail == "") || err != nil && !strings.Contains(err.Error(), tc.fail) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestMonitorAlone: a QEMU that never comes is not waited for.
func TestMonitorAlone(t *testing.T) {
	m, err := ListenMonitor(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if ending, err := m.Close(); ending != "" || err != nil {
		t.Errorf("%q, %v", ending, err)
	}
	if _, err := ListenMonitor(t.Context(), filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a socket in no directory")
	}
}
