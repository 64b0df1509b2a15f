//go:build sim

package report

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/aspport"
)

// chipPort answers each request as the simulated AMD-SP does.
type chipPort struct {
	answer aspport.Response
	out    bytes.Buffer
}

func (p *chipPort) Write(b []byte) (int, error) {
	request, err := aspport.ReadRequest(bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	if p.answer.Status == aspport.StatusSuccess {
		p.answer.Report = raw(request.ReportData)
	}
	encoded, err := p.answer.Bytes()
	p.out.Write(encoded)
	return len(b), err
}

func (p *chipPort) Read(b []byte) (int, error) { return p.out.Read(b) }

func TestExchange(t *testing.T) {
	e, err := exchange(&chipPort{answer: aspport.Response{CertTable: []byte("table")}}, data())
	if err != nil || !bytes.Equal(e.Report, raw(data())) || string(e.Certificates) != "table" {
		t.Errorf("%v, %+v", err, e)
	}
	if _, err := exchange(&chipPort{answer: aspport.Response{Status: aspport.StatusInvalidParam}}, data()); err == nil {
		t.Error("a refusal was taken")
	}
	port := &chipPort{}
	port.out.WriteString("SNPX garbage that is long enough")
	if _, err := exchange(port, data()); !errors.Is(err, aspport.ErrProtocol) {
		t.Errorf("got %v", err)
	}
	if _, err := exchange(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(nil), io.Discard}, data()); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestPortIsFoundByName(t *testing.T) {
	dir := t.TempDir()
	for port, name := range map[string]string{"vport1p1": "org.qemu.guest_agent.0\n", "vport1p2": aspport.PortName + "\n"} {
		if err := os.MkdirAll(filepath.Join(dir, "class/virtio-ports", port), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "class/virtio-ports", port, "name"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if path, err := (Port{Sys: dir, Dev: "/dev"}).find(); err != nil || path != "/dev/vport1p2" {
		t.Errorf("%s, %v", path, err)
	}
	if _, err := (Port{Sys: t.TempDir()}).Report(data()); !errors.Is(err, errUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := (Port{Sys: dir, Dev: dir}).Report(data()); !errors.Is(err, errUnavailable) {
		t.Errorf("got %v", err)
	}
	if !Simulated || Providers()[len(Providers())-1].Name() != "simulated-amd-sp" {
		t.Error("this build is not the simulated one")
	}
}
