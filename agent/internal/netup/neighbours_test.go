package netup

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

func TestDHCP(t *testing.T) {
	l, host, ready := cable(t)
	if !ready {
		return
	}
	if err := (Netlink{}).Up(l); err != nil {
		t.Fatal(err)
	}
	refuse := make(chan bool, 1)
	host(func() error {
		server, err := server4.NewServer("host0", nil, func(conn net.PacketConn, _ net.Addr, request *dhcpv4.DHCPv4) {
			answer, err := dhcpv4.NewReplyFromRequest(request, dhcpv4.WithYourIP(net.IPv4(10, 0, 2, 15)),
				dhcpv4.WithServerIP(net.IPv4(10, 0, 2, 2)), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 0, 2, 2))),
				dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithRouter(net.IPv4(10, 0, 2, 2)), dhcpv4.WithLeaseTime(600))
			if err != nil {
				return
			}
			kind := dhcpv4.MessageTypeOffer
			if request.MessageType() == dhcpv4.MessageTypeRequest {
				kind = dhcpv4.MessageTypeAck
				select {
				case <-refuse:
					kind = dhcpv4.MessageTypeNak
				default:
				}
			}
			answer.UpdateOption(dhcpv4.OptMessageType(kind))
			_, _ = conn.WriteTo(answer.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort})
		})
		if err != nil {
			return err
		}
		t.Cleanup(func() { server.Close() }) //nolint:errcheck // nothing was written
		go server.Serve()                    //nolint:errcheck // ends with the test
		return nil
	})
	if s, err := dhcp(t.Context(), l); err != nil || s.String() != "10.0.2.15/24 via 10.0.2.2" {
		t.Errorf("%v, %v", s, err)
	}
	refuse <- true
	if _, err := dhcp(t.Context(), l); !errors.Is(err, errLease) {
		t.Errorf("an offer that is taken back: %v", err)
	}
	if _, err := dhcp(t.Context(), Link{Name: "gone"}); err == nil {
		t.Error("a lease over an interface that is not there")
	}
}

// TestRouterAdvertisements takes DNS servers from neighbours on the link alone.
func TestRouterAdvertisements(t *testing.T) {
	l, host, ready := cable(t)
	if !ready {
		return
	}
	if err := (Netlink{}).Up(l); err != nil {
		t.Fatal(err)
	}
	var router *ipv6.PacketConn
	var at int
	host(func() error {
		raw, err := icmp.ListenPacket("ip6:ipv6-icmp", "::")
		if err != nil {
			return err
		}
		t.Cleanup(func() { raw.Close() }) //nolint:errcheck // nothing was written
		router = raw.IPv6PacketConn()
		link, err := netlink.LinkByName("host0")
		if err == nil {
			at = link.Attrs().Index
		}
		return err
	})
	send := func(dns byte, hops int, source string) {
		message := append([]byte{134, 0, 0, 0, 64, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0}, // RFC 4861, section 4.2
			25, 3, 0, 0, 0, 0, 2, 88, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, dns) // RFC 8106, section 5.1
		_, _ = router.WriteTo(message, &ipv6.ControlMessage{HopLimit: hops, IfIndex: at, Src: net.ParseIP(source)},
			&net.IPAddr{IP: net.ParseIP("ff02::1"), Zone: "host0"})
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() { // until the guest's interface is ready to hear them
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			send(1, 64, "fe80::2") // from far away
			send(2, 255, "fd00::2")
			send(3, 255, "fe80::2")
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	heard := errors.New("heard")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	err := listenRA(ctx, l.Index, func(dns []netip.Addr) {
		if !slices.Equal(dns, []netip.Addr{netip.MustParseAddr("fd00::3")}) {
			t.Errorf("took %v", dns)
		}
		cancel(heard)
	})
	if err == nil || ctx.Err() == nil {
		t.Errorf("ended with %v", err)
	}
}

// TestDialStaysOnItsInterface connects to what is behind the cable.
func TestDialStaysOnItsInterface(t *testing.T) {
	l, host, ready := cable(t)
	if !ready {
		return
	}
	var kernel Netlink
	if err := errors.Join(kernel.Up(l), kernel.Apply(l, settings("10.0.2.15/24", "10.0.2.2")), address("eth0", "fe80::15/64")); err != nil {
		t.Fatal(err)
	}
	host(func() error {
		listener, err := net.Listen("tcp", "10.0.2.2:443")
		if err == nil {
			t.Cleanup(func() { listener.Close() })
		}
		return err
	})
	way := Way{Link: l, Settings: Settings{DNS: []netip.Addr{netip.MustParseAddr("10.0.2.2"), netip.MustParseAddr("fe80::2")}}}
	conn, err := way.Dial(t.Context(), "tcp", "10.0.2.2:443")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	resolver := way.resolver()
	for _, want := range []string{"10.0.2.2:53", "[fe80::2%eth0]:53", "10.0.2.2:53"} {
		conn, err := resolver.Dial(t.Context(), "udp", "192.0.2.53:53")
		if err != nil || conn.RemoteAddr().String() != want {
			t.Fatalf("asks %v, want %s: %v", conn, want, err)
		}
		conn.Close()
	}
	way.Link.Name = "gone"
	if _, err := way.Dial(t.Context(), "tcp", "10.0.2.2:443"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("by an interface that is not there: %v", err)
	}
}
