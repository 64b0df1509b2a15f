//go:build e2e

package packer

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// service is an attestation service with a token.
type service struct {
	cmd         *exec.Cmd
	data        string
	URL         string
	Token       string
	CA          string // PEM
	CAFile      string
	Identity    string // path of the key that signs bundles
	Fingerprint string
	Client      *client.Client
}

// startService starts a new service.
func startService(t *testing.T) *service {
	t.Helper()
	s := &service{data: t.TempDir()}
	printed := s.serve(t, "127.0.0.1:0")
	t.Cleanup(s.kill)
	password := regexp.MustCompile(`shown this once:\s+(\S.*\S)\n`).FindStringSubmatch(printed)
	if password == nil {
		t.Fatalf("no password in %q", printed)
	}
	found, err := client.Discover(t.Context(), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.CA, s.Fingerprint = found.Info.CACertificate, found.Info.CAFingerprint
	s.CAFile = write(t, s.data, "ca.pem", []byte(s.CA))
	identity, err := keyfile.Identity(found.Info.IdentityKey)
	if err != nil {
		t.Fatal(err)
	}
	s.Identity = write(t, s.data, "identity.pem", identity)
	c, err := client.New(s.URL, s.CA, "")
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.TokenByPassword(t.Context(), password[1], "packer", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s.Token = token.Secret
	if s.Client, err = client.New(s.URL, s.CA, s.Token); err != nil {
		t.Fatal(err)
	}
	return s
}

// serve starts the program and returns what it prints.
func (s *service) serve(t *testing.T, listen string) string {
	t.Helper()
	out, err := os.Create(filepath.Join(s.data, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	s.cmd = exec.Command(filepath.Join(scratch, "snpguard-service"), "--data", filepath.Join(s.data, "data"), "--listen", listen,
		"--admin-listen", "", "--kds-offline", "--crl", "off")
	s.cmd.Stdout = out
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			go io.Copy(io.Discard, stderr) //nolint:errcheck // until the service ends
			s.URL = "https://" + line.Address
			printed, err := os.ReadFile(out.Name())
			if err != nil {
				t.Fatal(err)
			}
			return string(printed)
		}
	}
	t.Fatal("the service did not start")
	return ""
}

func (s *service) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it was killed
}

// images returns what is registered, by name.
func (s *service) images(t *testing.T) map[string]wire.Image {
	t.Helper()
	list, err := s.Client.Images(t.Context(), client.ImageFilter{})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]wire.Image{}
	for _, i := range list {
		byName[i.Name] = i
	}
	return byName
}

// mortal is a way to the service on which it dies after so many bytes of a client.
func (s *service) mortal(t *testing.T, limit int64) (url string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var passed atomic.Int64
	target := s.URL[len("https://"):]
	go func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", target)
			if err != nil {
				down.Close()
				continue
			}
			go func() { _, _ = io.Copy(down, up); down.Close() }()
			go func() {
				defer up.Close()
				buffer := make([]byte, 64<<10)
				for {
					n, err := down.Read(buffer)
					if n > 0 && passed.Add(int64(n)) > limit {
						_ = s.cmd.Process.Kill()
						down.Close()
						return
					}
					if _, werr := up.Write(buffer[:n]); err != nil || werr != nil {
						return
					}
				}
			}()
		}
	}()
	return "https://" + l.Addr().String()
}
