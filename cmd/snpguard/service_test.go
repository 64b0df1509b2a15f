package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// serviceCommand returns the script command "service": it starts a service that
// trusts a simulated AMD, sets URL and SNPGUARD_LOGIN, and leaves the files
// password, answers ("yes", then the password), ca.pem and unsealing.key.enc,
// which belongs to the image that the scripts register.
func serviceCommand(t *testing.T) func(*testscript.TestScript, bool, []string) {
	root := simtest.AMD(t).Line(snp.Milan).ARK.PEM()
	build := sync.OnceValue(func() string {
		program := filepath.Join(t.TempDir(), "snpguard-service")
		if out, err := exec.Command("go", "build", "-o", program, "../../service").CombinedOutput(); err != nil {
			t.Fatalf("build the service: %v\n%s", err, out)
		}
		return program
	})
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		ts.Check(os.WriteFile(ts.MkAbs("ark.pem"), root, 0o600))
		cmd := exec.Command(build(), "--data", ts.MkAbs("data"), "--listen", "127.0.0.1:0", "--admin-listen", "",
			"--insecure-trust-root", ts.MkAbs("ark.pem"), "--crl", "off", "--kds-offline")
		url, stdout := startService(ts, cmd)
		ts.Setenv("URL", url)
		ts.Setenv(client.LoginVariable, ts.MkAbs("login.json"))
		password := regexp.MustCompile(`shown this once:\s+(\S.*\S)\n`).FindStringSubmatch(stdout)
		if password == nil {
			ts.Fatalf("no password in %q", stdout)
		}
		leaveFiles(ts, url, password[1])
	}
}

// startService returns when the service serves.
func startService(ts *testscript.TestScript, cmd *exec.Cmd) (url, printed string) {
	stdout, err := os.Create(ts.MkAbs("service.out")) // a file has no reader that lags behind
	ts.Check(err)
	cmd.Stdout = stdout
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // it was killed
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			go io.Copy(io.Discard, stderr) //nolint:errcheck // until it ends
			return "https://" + line.Address, ts.ReadFile("service.out")
		}
		ts.Logf("service: %s", lines.Text())
	}
	ts.Fatalf("the service did not start")
	return "", ""
}

func leaveFiles(ts *testscript.TestScript, url, password string) {
	found, err := client.Discover(context.Background(), url)
	ts.Check(err)
	ingestion, err := seal.ParsePublicKey(found.Info.IngestionKey)
	ts.Check(err)
	unsealing, err := seal.GenerateKey()
	ts.Check(err)
	encoded, err := unsealing.Bytes()
	ts.Check(err)
	image, err := wire.ParseUUID("11111111-2222-4333-8444-555555555555")
	ts.Check(err)
	sealed, err := ingestion.Seal(wire.UnsealingKeyInfo(image), encoded)
	ts.Check(err)
	for name, data := range map[string][]byte{
		"password": []byte(password + "\n"), "answers": []byte("yes\n" + password + "\n"),
		"ca.pem": []byte(found.Info.CACertificate), "unsealing.key.enc": sealed,
	} {
		ts.Check(os.WriteFile(ts.MkAbs(name), data, 0o600))
	}
}
