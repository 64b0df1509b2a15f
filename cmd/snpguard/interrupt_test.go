package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestInterrupted ends the program while it reads from a pipe that says nothing.
func TestInterrupted(t *testing.T) {
	program := filepath.Join(t.TempDir(), "snpguard")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	silent, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "report", "show", "/dev/fd/3")
	cmd.ExtraFiles = []*os.File{silent}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	silent.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait() //nolint:errcheck // how it ended is in ProcessState
	}()
	for {
		select {
		case <-ended:
			status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !ok || status.Signaled() && status.Signal() != syscall.SIGTERM || ctx.Err() != nil {
				t.Errorf("ended with %s", cmd.ProcessState)
			}
			return
		case <-time.After(50 * time.Millisecond): // a second signal that comes too soon is the first
			cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
		}
	}
}
