// Snpguard-service is the attestation service: it registers images, verifies
// attestation reports and releases volume keys. This package only wires.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/config"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The exit codes, the same as the command line's.
const (
	exitOK          = 0
	exitUsage       = 2
	exitEnvironment = 3
)

// run runs the service until ctx ends and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := config.Parse(args, os.LookupEnv, os.ReadFile)
	switch {
	case errors.Is(err, config.ErrUsage):
		fmt.Fprintf(stderr, "snpguard-service: %v\nRun it with --help for its options.\n", err)
		return exitUsage
	case err != nil:
		fmt.Fprintf(stderr, "snpguard-service: %v\n", err)
		return exitEnvironment
	case cfg.Help != "":
		fmt.Fprint(stdout, cfg.Help)
		return exitOK
	case cfg.ShowVersion:
		fmt.Fprintf(stdout, "snpguard-service %s (revision %s)\n", version.String(), version.Revision())
		return exitOK
	}
	switch {
	case cfg.Backup != "":
		err = store.Backup(ctx, cfg.Database, cfg.Backup)
	case cfg.RotateKEK != "":
		err = rotateKEK(ctx, cfg.Config, cfg.RotateKEK, stdout)
	default:
		err = serve(ctx, cfg.Config, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "snpguard-service: %v\n", err)
		return exitEnvironment
	}
	return exitOK
}
