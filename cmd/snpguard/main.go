// Snpguard is the operator's command line: it measures, converts, registers,
// verifies and launches SEV-SNP guests. Each command has a file of its own.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// interruptGrace is how long a command may take to end after a signal: longer
// than "snpguard sim kds" gives running requests.
const interruptGrace = 7 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once, and so does a command that does
	// not hear the first one, as one that reads from a pipe.
	context.AfterFunc(ctx, func() {
		stop()
		time.Sleep(interruptGrace)
		fmt.Fprintln(os.Stderr, "snpguard: interrupted")
		os.Exit(exitEnvironment)
	})
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
