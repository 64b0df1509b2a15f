package netup

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
)

// maxRA bounds a router advertisement in bytes.
const maxRA = 4096

// listenRA hands the DNS servers of router advertisements on one interface to
// found until the context ends. Only what a neighbour on the link can have sent
// counts: hop limit 255 and a link-local source (RFC 4861, section 6.1.2).
func listenRA(ctx context.Context, index int, found func([]netip.Addr)) error {
	raw, err := icmp.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return fmt.Errorf("listen for router advertisements: %w", err)
	}
	defer raw.Close()                                      //nolint:errcheck // nothing was written
	stop := context.AfterFunc(ctx, func() { raw.Close() }) //nolint:errcheck // ends the read
	defer stop()
	conn := raw.IPv6PacketConn()
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	if err := conn.SetICMPFilter(&filter); err != nil {
		return fmt.Errorf("listen for router advertisements: %w", err)
	}
	if err := conn.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface, true); err != nil {
		return fmt.Errorf("listen for router advertisements: %w", err)
	}
	buffer := make([]byte, maxRA)
	for {
		n, control, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return err
		}
		source, isIP := from.(*net.IPAddr)
		if control == nil || control.IfIndex != index || control.HopLimit != 255 || !isIP || !source.IP.IsLinkLocalUnicast() {
			continue
		}
		if dns, err := parseRA(buffer[:n]); err == nil && len(dns) > 0 {
			found(dns)
		}
	}
}
