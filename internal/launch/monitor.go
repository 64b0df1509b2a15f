package launch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// Ending is why a guest ended, as QEMU's machine protocol (QMP, docs/interop/qmp-spec)
// says it in the event SHUTDOWN.
type Ending string

// The endings that are told apart.
const (
	EndedReset Ending = "guest-reset" // a reboot, and a panic of a kernel with panic=1
	EndedPanic Ending = "guest-panic" // a panic that a device like pvpanic has told
)

// maxMessage bounds a line of QMP, in bytes.
const maxMessage = 1 << 20

// monitorName is the socket's, in its directory.
const monitorName = "qmp"

// Monitor lets a guest run and learns why it ended. QEMU connects to it.
type Monitor struct {
	listener net.Listener
	path     string
	ended    chan struct{}
	ending   Ending
	err      error
}

// ListenMonitor waits for a QEMU on a socket in dir, which nobody else may enter.
func ListenMonitor(ctx context.Context, dir string) (*Monitor, error) {
	path := filepath.Join(dir, monitorName)
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	m := &Monitor{listener: l, path: path, ended: make(chan struct{})}
	go m.serve()
	return m, os.Chmod(path, 0o600)
}

// Args returns the options of QEMU that connect it. The guest waits until the monitor
// lets it run, so that its end is never missed.
func (m *Monitor) Args() []string {
	return []string{"-S", "-chardev", "socket,id=qmp0,path=" + escape(m.path), "-mon", "chardev=qmp0,mode=control"}
}

// Close returns why the guest ended, when QEMU has: empty if it did not say.
func (m *Monitor) Close() (Ending, error) {
	err := m.listener.Close()
	<-m.ended
	return m.ending, errors.Join(err, m.err)
}

func (m *Monitor) serve() {
	defer close(m.ended)
	conn, err := m.listener.Accept()
	if err != nil {
		return // no QEMU has come
	}
	defer conn.Close()
	if m.ending, err = converse(conn); err != nil {
		m.err = fmt.Errorf("talk to QEMU: %w", err)
		io.WriteString(conn, `{"execute":"quit"}`) //nolint:errcheck // the guest may not run yet, and never would
	}
}

// message is what QEMU says, as far as it matters.
type message struct {
	Event string `json:"event"`
	Data  struct {
		Reason Ending `json:"reason"`
	} `json:"data"`
	Error *struct {
		Text string `json:"desc"`
	} `json:"error"`
}

// converse lets the guest run and listens until QEMU ends.
func converse(conn io.ReadWriter) (Ending, error) {
	if _, err := io.WriteString(conn, `{"execute":"qmp_capabilities"}{"execute":"cont"}`+"\n"); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxMessage)
	var ending Ending
	for lines.Scan() {
		var m message
		if err := (strictjson.Rules{SkipUnknown: true}).Decode(lines.Bytes(), &m); err != nil {
			return ending, err
		}
		switch {
		case m.Error != nil:
			return ending, fmt.Errorf("it refuses: %s", m.Error.Text)
		case m.Event == "SHUTDOWN":
			ending = m.Data.Reason
		}
	}
	return ending, nil // a connection that breaks is QEMU's end, which its exit code tells about
}
