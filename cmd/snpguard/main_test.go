package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// TestMain lets the scripts run this program as "snpguard".
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"snpguard": func() {
			os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// TestScripts runs the stories in testdata/script. They find unpacked test
// vectors in $VECTORS, reports with their certificates in $REPORTS, and the state
// of a simulated AMD in $SIM_STATE.
func TestScripts(t *testing.T) {
	dir := unpackVectors(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "await": await, "service": serviceCommand(t), "bundles": bundlesCommand(t), "kernels": kernelsCommand(t), "receipt": receiptsCommand},
		Setup: func(env *testscript.Env) error {
			env.Setenv("VECTORS", dir)
			env.Setenv("REPORTS", filepath.Join(vectors.Dir(), "reports"))
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, ".cache"))
			env.Setenv("SIM_STATE", filepath.Join(env.WorkDir, "sim.json"))
			state, err := simtest.AMD(t).Marshal()
			if err != nil {
				return err
			}
			return os.WriteFile(env.Getenv("SIM_STATE"), state, 0o600)
		},
	})
}

// exits is the script command "exits CODE PROGRAM [ARG...]": it runs a program
// that has to end with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("exit code %q: %v", args[0], err)
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// await is the script command "await FILE VARIABLE": it waits until a program in
// the background has written the file, and puts its one line into the variable.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE VARIABLE")
	}
	for range 1000 {
		line, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil {
			ts.Setenv(args[1], strings.TrimSpace(string(line)))
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s does not appear", args[0])
}

// unpackVectors copies the inputs that the scripts use, and returns where.
func unpackVectors(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{
		"fw/ovmf-amdsev-sid-2026.08.fd", "fw/ovmf-trixie-2025.02.fd", "fw/svsm.bin", "fw/svsm_ovmf.fd",
		"payload/kernel_1000.bin", "payload/kernel_1500001.bin", "payload/initrd_2000003.bin", "payload/initrd_1.bin",
		"synth/n2_meta_version2.fd", "synth/n5_not_page_multiple.fd",
	} {
		data := vectors.MustRead(t, "measure/inputs/"+name)
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
