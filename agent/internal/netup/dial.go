package netup

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// errNoDNS is a way without a DNS server, while the service has a name.
var errNoDNS = errors.New("no DNS server known")

// Dial connects through this interface alone. Names are looked up at the DNS
// servers that came with it, never at those of another.
func (w Way) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Control: w.bind}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil {
		if len(w.Settings.DNS) == 0 {
			return nil, errNoDNS
		}
		dialer.Resolver = w.resolver()
	}
	return dialer.DialContext(ctx, network, address)
}

// resolver asks the way's servers in turn, whatever /etc/resolv.conf says.
func (w Way) resolver() *net.Resolver {
	var next atomic.Uint32
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			server := w.Settings.DNS[int(next.Add(1)-1)%len(w.Settings.DNS)]
			if server.IsLinkLocalUnicast() && server.Is6() {
				server = server.WithZone(w.Link.Name)
			}
			return (&net.Dialer{Control: w.bind}).DialContext(ctx, network, netip.AddrPortFrom(server, 53).String())
		},
	}
}

// bind keeps a socket on the interface.
func (w Way) bind(_, _ string, raw syscall.RawConn) error {
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, w.Link.Name)
	}); e != nil {
		return e
	}
	return err
}
