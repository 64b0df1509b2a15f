package netup

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestKernelSetsAndTakesBack(t *testing.T) {
	l, _, ready := cable(t)
	if !ready {
		return
	}
	var kernel Netlink
	if links, err := kernel.Links(); err != nil || len(links) != 0 {
		t.Errorf("links that are no machine's own hardware: %v, %v", links, err)
	}
	if err := kernel.Up(l); err != nil {
		t.Fatal(err)
	}
	first := settings("10.0.2.15/32", "192.0.2.1") // a gateway outside of the network
	first.MTU = 1400
	first.Routes = append(first.Routes, Route{Dst: netip.MustParsePrefix("192.0.2.1/32")})
	if err := kernel.Apply(l, first); err != nil {
		t.Fatal(err)
	}
	link, err := netlink.LinkByIndex(l.Index)
	if err != nil || link.Attrs().MTU != 1400 || addresses(t, l) != "10.0.2.15/32" || gateways(t, l) != "192.0.2.1" {
		t.Errorf("%v, MTU %d, addresses %s, gateways %s", err, link.Attrs().MTU, addresses(t, l), gateways(t, l))
	}
	if err := kernel.Apply(l, settings("10.0.2.16/24", "10.0.2.2")); err != nil || addresses(t, l) != "10.0.2.16/24" || gateways(t, l) != "10.0.2.2" {
		t.Errorf("a second lease: %v, addresses %s, gateways %s", err, addresses(t, l), gateways(t, l))
	}
	if err := kernel.Apply(l, settings("fd00::15/64", "fe80::2")); err != nil || addresses(t, l) != "fd00::15/64" || gateways(t, l) != "fe80::2" {
		t.Errorf("IPv6: %v, addresses %s, gateways %s", err, addresses(t, l), gateways(t, l))
	}
	got, err := kernel.Autoconfigured(l)
	if err != nil || got.String() != "fd00::15/64 via fe80::2" {
		t.Errorf("autoconfigured: %v, %v", got, err)
	}
	if err := kernel.Down(l); err != nil || addresses(t, l) != "" || gateways(t, l) != "" {
		t.Errorf("down: %v, addresses %s, gateways %s", err, addresses(t, l), gateways(t, l))
	}
	if link, err := netlink.LinkByIndex(l.Index); err != nil || link.Attrs().MTU != l.MTU || link.Attrs().Flags&net.FlagUp != 0 {
		t.Errorf("%v, left %+v", err, link.Attrs())
	}
}

// TestKernelRefuses has settings and interfaces that cannot be.
func TestKernelRefuses(t *testing.T) {
	l, _, ready := cable(t)
	if !ready {
		return
	}
	var kernel Netlink
	gone := Link{Name: "gone", Index: 99}
	small := settings("10.0.2.15/24", "10.0.2.2")
	small.MTU = 1
	for name, err := range map[string]error{
		"up without interface":      kernel.Up(gone),
		"down without interface":    kernel.Down(gone),
		"address without interface": kernel.Apply(gone, settings("10.0.2.15/24", "10.0.2.2")),
		"MTU of a byte":             kernel.Apply(l, small),
		"route while down":          kernel.Apply(l, settings("10.0.2.15/24", "10.0.2.2")),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
