package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// It prints its URL, answers there, and ends well when it is interrupted.
func TestSimKDSServesUntilInterrupted(t *testing.T) {
	state, err := simtest.AMD(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sim.json")
	if err := os.WriteFile(path, state, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	ended := make(chan int)
	go func() {
		args := []string{"sim", "kds", "--state", path, "--listen", "127.0.0.1:0"}
		ended <- run(ctx, args, strings.NewReader(""), stdout, io.Discard)
	}()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(strings.TrimSpace(url) + "/vcek/v1/Milan/cert_chain")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !bytes.Equal(body, simtest.AMD(t).Line(snp.Milan).ChainPEM(snp.SignedByVCEK)) {
		t.Errorf("status %d, %v: %s", resp.StatusCode, err, body)
	}
	interrupt()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}
}

// The state is made at the first start, for its owner alone, and kept.
func TestSimStateIsMadeAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sim.json")
	made := 0
	newAMD := func(...snp.Product) (*sim.AMD, error) { made++; return simtest.AMD(t), nil }
	for range 2 {
		amd, err := openSim(io.Discard, path, newAMD)
		if err != nil {
			t.Fatal(err)
		}
		if !amd.Line(snp.Turin).ARK.Certificate.Equal(simtest.AMD(t).Line(snp.Turin).ARK.Certificate) {
			t.Error("not the AMD that was made")
		}
	}
	if made != 1 {
		t.Errorf("made %d AMDs, want 1", made)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %s, %v", info.Mode(), err)
	}
}
