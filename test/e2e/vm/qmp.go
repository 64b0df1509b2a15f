package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"time"
)

// QMPArgs returns the options that give a QEMU a monitor on a Unix socket.
func QMPArgs(socket string) []string {
	return []string{"-qmp", "unix:" + socket + ",server=on,wait=off"}
}

// QMP is a connection to a QEMU's monitor (QEMU, docs/interop/qmp-spec).
type QMP struct {
	conn net.Conn
	in   *bufio.Scanner
}

// qmpTimeout bounds each wait for QEMU.
const qmpTimeout = 10 * time.Second

// DialQMP connects to a monitor as soon as it is there.
func DialQMP(ctx context.Context, socket string) (*QMP, error) {
	ctx, cancel := context.WithTimeout(ctx, qmpTimeout)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err == nil {
			return newQMP(conn)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func newQMP(conn net.Conn) (*QMP, error) {
	q := &QMP{conn, bufio.NewScanner(conn)}
	q.in.Buffer(nil, 1<<20)
	// The greeting is a line without a result, which command passes over.
	if err := q.command("qmp_capabilities", nil, &struct{}{}); err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

// Close closes the connection.
func (q *QMP) Close() error { return q.conn.Close() }

// command runs a command and passes over events.
func (q *QMP) command(name string, arguments, result any) error {
	if err := q.conn.SetDeadline(time.Now().Add(qmpTimeout)); err != nil {
		return err
	}
	request := map[string]any{"execute": name}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(q.conn).Encode(request); err != nil {
		return err
	}
	for q.in.Scan() {
		var line struct {
			Return json.RawMessage        `json:"return"`
			Error  *struct{ Desc string } `json:"error"`
		}
		if err := json.Unmarshal(q.in.Bytes(), &line); err != nil {
			return fmt.Errorf("read from QEMU's monitor: %w", err)
		}
		switch {
		case line.Error != nil:
			return fmt.Errorf("%s: %s", name, line.Error.Desc)
		case line.Return != nil:
			return json.Unmarshal(line.Return, result)
		}
	}
	return errors.Join(errors.New("QEMU's monitor has ended"), q.in.Err())
}

// registers are the two of "info registers" that tell where a vCPU is.
var registers = regexp.MustCompile(`\b[RE]IP=([0-9a-f]{8,16})\b.* HLT=([01])\b`)

// rip returns the instruction pointer of the first vCPU, and whether it waits for
// an interrupt.
func (q *QMP) rip() (rip uint64, halted bool, err error) {
	var text string
	if err := q.command("human-monitor-command", map[string]string{"command-line": "info registers"}, &text); err != nil {
		return 0, false, err
	}
	match := registers.FindStringSubmatch(text)
	if match == nil {
		return 0, false, fmt.Errorf("no instruction pointer in %.200q", text)
	}
	rip, err = strconv.ParseUint(match[1], 16, 64)
	return rip, match[2] == "1", err
}

// How a dead loop is told from one that waits for something: for so many looks, so
// far apart, the vCPU stays within a few instructions.
const (
	deadLoopSize    = 64
	deadLoopLooks   = 50
	deadLoopBetween = 100 * time.Millisecond
)

// DeadLoop waits until the first vCPU, without waiting for an interrupt, does not
// leave a few instructions any more: so ends a firmware that refuses to go on and has no console to say it on. The
// error says that the time is over before that.
func (q *QMP) DeadLoop(within time.Duration) error {
	var first uint64
	looks := 0
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(deadLoopBetween) {
		rip, halted, err := q.rip()
		if err != nil {
			return err
		}
		if halted || looks == 0 || rip-first+deadLoopSize > 2*deadLoopSize {
			first, looks = rip, 0
		}
		if looks++; looks == deadLoopLooks {
			return nil
		}
	}
	return fmt.Errorf("no dead loop within %s; the vCPU is at %#x", within, first)
}

// NoFlush returns the disks whose guest is told that a flush is done when it is not: of
// cache mode "unsafe".
func (q *QMP) NoFlush() ([]string, error) {
	var disks []struct {
		Device   string
		Inserted *struct {
			Cache struct {
				NoFlush bool `json:"no-flush"`
			}
		}
	}
	if err := q.command("query-block", nil, &disks); err != nil {
		return nil, err
	}
	var forgetful []string
	for _, d := range disks {
		if d.Inserted != nil && d.Inserted.Cache.NoFlush {
			forgetful = append(forgetful, d.Device)
		}
	}
	return forgetful, nil
}
