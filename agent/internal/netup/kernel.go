package netup

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link is a network interface.
type Link struct {
	Name  string
	Index int
	MAC   net.HardwareAddr
	MTU   int
}

// Kernel is what this package asks of the kernel; [Netlink] in production.
type Kernel interface {
	// Links lists the Ethernet interfaces.
	Links() ([]Link, error)
	// Up and Down switch an interface; Down takes its addresses and routes too.
	Up(Link) error
	Down(Link) error
	// Apply replaces what Apply set before.
	Apply(Link, Settings) error
	// Autoconfigured returns what the kernel itself has set by IPv6 router
	// advertisements: global addresses that are ready, and a default gateway.
	Autoconfigured(Link) (Settings, error)
}

// Netlink is the running kernel.
type Netlink struct{}

// Links lists the Ethernet interfaces, which all virtual machines have.
func (Netlink) Links() ([]Link, error) {
	all, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var links []Link
	for _, l := range all {
		a := l.Attrs()
		if a.EncapType != "ether" || a.Flags&net.FlagLoopback != 0 || len(a.HardwareAddr) != 6 || l.Type() != "device" {
			continue
		}
		links = append(links, Link{a.Name, a.Index, a.HardwareAddr, a.MTU})
	}
	return links, nil
}

// at names an interface for netlink.
func at(l Link) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: l.Name, Index: l.Index}}
}

// Up switches the interface on.
func (Netlink) Up(l Link) error { return netlink.LinkSetUp(at(l)) }

// Down flushes the interface, gives it its MTU back and switches it off.
func (n Netlink) Down(l Link) error {
	err := n.flush(l, netlink.FAMILY_ALL)
	if current, e := netlink.LinkByIndex(l.Index); e == nil && current.Attrs().MTU != l.MTU {
		err = errors.Join(err, netlink.LinkSetMTU(at(l), l.MTU))
	}
	return errors.Join(err, netlink.LinkSetDown(at(l)))
}

// flush takes routes and addresses away.
func (Netlink) flush(l Link, family int) error {
	routes, err := netlink.RouteList(at(l), family)
	if err != nil {
		return fmt.Errorf("list routes of %s: %w", l.Name, err)
	}
	for _, r := range routes {
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("remove route of %s: %w", l.Name, err)
		}
	}
	addresses, err := netlink.AddrList(at(l), family)
	if err != nil {
		return fmt.Errorf("list addresses of %s: %w", l.Name, err)
	}
	for _, a := range addresses {
		if a.IP.IsLinkLocalUnicast() && a.IP.To4() == nil {
			continue // the kernel's own; it goes with the link
		}
		if err := netlink.AddrDel(at(l), &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove address of %s: %w", l.Name, err)
		}
	}
	return nil
}

// Apply sets addresses, then routes. A gateway outside of the interface's
// network, as with leases of one address (/32), is taken to be on the link.
func (n Netlink) Apply(l Link, s Settings) error {
	if err := n.flush(l, netlink.FAMILY_V4); err != nil {
		return err
	}
	if s.MTU > 0 && s.MTU < l.MTU {
		if err := netlink.LinkSetMTU(at(l), s.MTU); err != nil {
			return fmt.Errorf("set MTU %d of %s: %w", s.MTU, l.Name, err)
		}
	}
	for _, a := range s.Addresses {
		address := &netlink.Addr{IPNet: ipNet(a)}
		if a.Addr().Is6() {
			address.Flags = unix.IFA_F_NODAD // ready at once
		}
		if err := netlink.AddrReplace(at(l), address); err != nil {
			return fmt.Errorf("set address %s of %s: %w", a, l.Name, err)
		}
	}
	for _, r := range s.Routes {
		route := &netlink.Route{LinkIndex: l.Index, Dst: ipNet(r.Dst), Priority: 100 + l.Index}
		if r.Via.IsValid() {
			route.Gw = r.Via.AsSlice()
			route.Flags = int(netlink.FLAG_ONLINK)
		} else {
			route.Scope = netlink.SCOPE_LINK
		}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("set route %s of %s: %w", r.Dst, l.Name, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Autoconfigured looks for global addresses that have passed duplicate address
// detection, and a default route.
func (Netlink) Autoconfigured(l Link) (Settings, error) {
	var s Settings
	addresses, err := netlink.AddrList(at(l), netlink.FAMILY_V6)
	if err != nil {
		return s, fmt.Errorf("list addresses of %s: %w", l.Name, err)
	}
	for _, a := range addresses {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ones, _ := a.Mask.Size(); ok && ip.IsGlobalUnicast() && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			s.Addresses = append(s.Addresses, netip.PrefixFrom(ip, ones))
		}
	}
	routes, err := netlink.RouteList(at(l), netlink.FAMILY_V6)
	if err != nil {
		return s, fmt.Errorf("list routes of %s: %w", l.Name, err)
	}
	for _, r := range routes {
		all := r.Dst == nil
		if !all {
			ones, _ := r.Dst.Mask.Size()
			all = ones == 0
		}
		if via, ok := netip.AddrFromSlice(r.Gw); ok && all {
			s.Routes = append(s.Routes, Route{netip.PrefixFrom(netip.IPv6Unspecified(), 0), via})
		}
	}
	return s, nil
}
