package netup

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Bounds of what a DHCP server can make the agent do.
const (
	maxRoutes = 16
	maxDNS    = 3
	minMTU    = 1280
	minRenew  = time.Minute
	maxRenew  = 12 * time.Hour
)

// errLease is a lease that makes no sense.
var errLease = errors.New("unusable DHCP lease")

// Route is a route by a gateway, which need not be in the interface's network.
type Route struct {
	Dst netip.Prefix
	Via netip.Addr // not valid for what is on the link itself
}

// Settings is how one interface is configured.
type Settings struct {
	Addresses []netip.Prefix
	Routes    []Route
	DNS       []netip.Addr
	MTU       int           // 0 to leave it
	Renew     time.Duration // when to ask again; 0 for never
}

// fromACK takes the addresses out of a lease and nothing else: host name, domain,
// boot file and all other strings are not looked at.
func fromACK(ack *dhcpv4.DHCPv4) (Settings, error) {
	address, ok := unicast(ack.YourIPAddr)
	if !ok {
		return Settings{}, fmt.Errorf("%w: address %s", errLease, ack.YourIPAddr)
	}
	bits := 32
	if mask := ack.SubnetMask(); mask != nil {
		ones, size := mask.Size()
		if size != 32 || ones == 0 {
			return Settings{}, fmt.Errorf("%w: netmask %s", errLease, mask)
		}
		bits = ones
	}
	s := Settings{Addresses: []netip.Prefix{netip.PrefixFrom(address, bits)}, Routes: leaseRoutes(ack)}
	for _, ip := range ack.DNS() {
		if a, ok := unicast(ip); ok && len(s.DNS) < maxDNS {
			s.DNS = append(s.DNS, a)
		}
	}
	if mtu, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, ack.Options); err == nil && mtu >= minMTU {
		s.MTU = int(mtu)
	}
	s.Renew = min(max(ack.IPAddressLeaseTime(maxRenew)/2, minRenew), maxRenew)
	return s, nil
}

// leaseRoutes takes the classless routes; where there are any, the router option
// does not count (RFC 3442).
func leaseRoutes(ack *dhcpv4.DHCPv4) []Route {
	var routes []Route
	for _, r := range ack.ClasslessStaticRoute() {
		if r == nil || r.Dest == nil || len(routes) == maxRoutes {
			continue
		}
		ip, ok := netip.AddrFromSlice(r.Dest.IP.To4())
		ones, size := r.Dest.Mask.Size()
		if !ok || size != 32 {
			continue
		}
		dst := netip.PrefixFrom(ip, ones).Masked()
		via, ok := unicast(r.Router)
		if !ok && !r.Router.IsUnspecified() {
			continue
		}
		routes = append(routes, Route{dst, via})
	}
	if len(routes) > 0 {
		return routes
	}
	for _, ip := range ack.Router() {
		if via, ok := unicast(ip); ok {
			return []Route{{netip.PrefixFrom(netip.IPv4Unspecified(), 0), via}}
		}
	}
	return nil
}

// unicast returns an IPv4 address that a machine can have.
func unicast(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip.To4())
	if !ok || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.Addr{}, false
	}
	return a, true
}

// gateway returns the default gateway, if there is one.
func (s Settings) gateway() (netip.Addr, bool) {
	for _, r := range s.Routes {
		if r.Dst.Bits() == 0 && r.Via.IsValid() {
			return r.Via, true
		}
	}
	return netip.Addr{}, false
}

// String returns "10.0.2.15/24 via 10.0.2.2".
func (s Settings) String() string {
	text := ""
	for _, a := range s.Addresses {
		if text != "" {
			text += " "
		}
		text += a.String()
	}
	if via, ok := s.gateway(); ok {
		text += " via " + via.String()
	}
	return text
}
