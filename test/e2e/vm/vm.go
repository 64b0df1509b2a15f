// Package vm runs virtual machines for the end-to-end tests: it starts a command,
// which is QEMU or "snpguard launch", follows the guest's console on its standard
// output, and ends it. Failures carry the end of the console, since that is where
// a guest says what went wrong.
package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"syscall"
	"time"
)

// endGrace is how long a command may take to end after it was asked to.
const endGrace = 10 * time.Second

// VM is a running virtual machine. Its methods may be called by one goroutine at a
// time.
type VM struct {
	cmd     *exec.Cmd
	console *console
	stdin   io.WriteCloser
	end     context.CancelFunc
	ended   chan struct{} // closed when the command has ended
	err     error         // of the command; valid once it has ended
	seen    int           // how much of the console was matched
}

// Start runs a command, program first. What it prints on both outputs is the
// console. When the context ends, so does the machine.
func Start(ctx context.Context, argv []string) (*VM, error) {
	ctx, cancel := context.WithCancel(ctx)
	v := &VM{console: newConsole(), end: cancel, ended: make(chan struct{})}
	v.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	v.cmd.Stdout, v.cmd.Stderr = v.console, v.console
	v.cmd.Cancel = func() error { return v.cmd.Process.Signal(syscall.SIGTERM) }
	v.cmd.WaitDelay = endGrace
	var err error
	if v.stdin, err = v.cmd.StdinPipe(); err != nil {
		cancel()
		return nil, err
	}
	if err := v.cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start virtual machine: %w", err)
	}
	go func() {
		v.err = v.cmd.Wait()
		v.console.close()
		close(v.ended)
	}()
	return v, nil
}

// Log returns all that was printed, without escape sequences.
func (v *VM) Log() string { return v.console.text() }

// Send types a text into the console.
func (v *VM) Send(text string) error {
	_, err := io.WriteString(v.stdin, text)
	return err
}

// ErrExpected is a text that did not come.
var ErrExpected = errors.New("not on the console")

// Expect waits until a pattern matches what was printed since the last match, and
// returns the match with its groups. The error wraps ErrExpected when the machine
// ends or the time is over before that, and holds the end of the console.
func (v *VM) Expect(pattern string, within time.Duration) ([]string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for {
		text, more := v.console.since(v.seen)
		if m := re.FindStringSubmatchIndex(text); m != nil {
			v.seen += m[1]
			return groups(text, m), nil
		}
		if more == nil {
			return nil, fmt.Errorf("%w: %q, and the machine has ended\n%s", ErrExpected, pattern, v.console.tail())
		}
		select {
		case <-more:
		case <-timeout.C:
			return nil, fmt.Errorf("%w: %q within %s\n%s", ErrExpected, pattern, within, v.console.tail())
		}
	}
}

// Prompt is Expect for something that asks for input. It presses Enter again and
// again to be asked once more: what others print may have come between its words.
func (v *VM) Prompt(pattern string, again, within time.Duration) ([]string, error) {
	deadline := time.Now().Add(within)
	for {
		m, err := v.Expect(pattern, min(again, time.Until(deadline)))
		if err == nil || !errors.Is(err, ErrExpected) || !time.Now().Before(deadline) {
			return m, err
		}
		if v.Send("\n") != nil { // it has ended
			return nil, err
		}
	}
}

func groups(text string, index []int) []string {
	var out []string
	for i := 0; i < len(index); i += 2 {
		if index[i] < 0 {
			out = append(out, "")
			continue
		}
		out = append(out, text[index[i]:index[i+1]])
	}
	return out
}

// ErrRunning is a machine that does not end.
var ErrRunning = errors.New("the machine still runs")

// Wait waits for the machine to end by itself and returns the exit code of the
// command. The error wraps ErrRunning when the time is over before that.
func (v *VM) Wait(within time.Duration) (int, error) {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	select {
	case <-v.ended:
		return v.exitCode()
	case <-timeout.C:
		return 0, fmt.Errorf("%w after %s\n%s", ErrRunning, within, v.console.tail())
	}
}

func (v *VM) exitCode() (int, error) {
	var exit *exec.ExitError
	if v.err != nil && !errors.As(v.err, &exit) {
		return 0, v.err
	}
	return v.cmd.ProcessState.ExitCode(), nil
}

// Kill takes the power away: the command ends with nothing in order. It must be QEMU
// itself, since what a command has started is not killed with it.
func (v *VM) Kill() {
	_ = v.cmd.Process.Kill() // it may have ended
	v.Stop()
}

// Stop ends the machine, by force when it does not end otherwise, and waits for
// that. It may be called more than once.
func (v *VM) Stop() {
	v.end()
	<-v.ended
}
