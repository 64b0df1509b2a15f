package asp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/aspport"
)

// Report makes an attestation report for a request of the guest, with the
// certificates that a host hands on behind it.
func (g *Guest) Report(r aspport.Request) (aspport.Response, error) {
	report := g.template // a copy: requests are independent
	report.VMPL, report.ReportData = r.VMPL, r.ReportData
	signed, err := g.vcek.Report(&report)
	if err != nil {
		return aspport.Response{}, err
	}
	return aspport.Response{Report: signed, CertTable: g.table}, nil
}

// Serve answers requests on connections to l, one after the other on each, until
// the context ends. A malformed request is refused and its connection goes on
// with the next: there is no other port for the guest to turn to.
func (g *Guest) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go g.serveConn(ctx, conn)
	}
}

func (g *Guest) serveConn(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	for {
		if err := g.answer(conn); err != nil {
			return // the guest is gone
		}
	}
}

// answer answers one request. The error is one of the connection.
func (g *Guest) answer(conn io.ReadWriter) error {
	request, err := aspport.ReadRequest(conn)
	response := aspport.Response{Status: aspport.StatusInvalidParam}
	switch {
	case err == nil:
		if response, err = g.Report(request); err != nil {
			return err
		}
	case !errors.Is(err, aspport.ErrProtocol):
		return err
	}
	encoded, err := response.Bytes()
	if err != nil {
		return err
	}
	_, err = conn.Write(encoded)
	return err
}

// socketName is short: a path of a Unix socket has 107 bytes at most.
const socketName = "asp"

// Listen makes the socket that the guest's port is connected to, in a directory
// that belongs to the caller alone, and returns its path.
func Listen(ctx context.Context, dir string) (net.Listener, string, error) {
	path := filepath.Join(dir, socketName)
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, "", err
	}
	return l, path, os.Chmod(path, 0o600)
}
