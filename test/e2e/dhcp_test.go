//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
)

// hostileDHCP is a host's network with nothing but a DHCP server on it, which means
// harm.
type hostileDHCP struct {
	listener net.Listener
	offers   chan struct{} // one for each answer
}

// newHostileDHCP listens for a QEMU.
func newHostileDHCP(t *testing.T, lease func(*dhcpv4.DHCPv4)) (d *hostileDHCP, qemu []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "net")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	d = &hostileDHCP{l, make(chan struct{}, 1000)}
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if err := d.serve(conn, lease); !errors.Is(err, io.EOF) {
			t.Errorf("DHCP server: %v", err)
		}
	}()
	return d, []string{
		"-netdev", "stream,id=net1,server=off,addr.type=unix,addr.path=" + path,
		"-device", "virtio-net-pci,netdev=net1,romfile=,mac=52:54:00:66:66:66",
	}
}

// serve answers DHCP requests in the frames of a connection, each behind its length
// in 32 bits (QEMU, net/stream.c).
func (d *hostileDHCP) serve(conn net.Conn, lease func(*dhcpv4.DHCPv4)) error {
	for {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return io.EOF // the guest is gone
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, frame); err != nil {
			return io.EOF
		}
		request := dhcpOf(frame)
		if request == nil {
			continue
		}
		answer, err := dhcpv4.NewReplyFromRequest(request)
		if err != nil {
			return err
		}
		kind := dhcpv4.MessageTypeOffer
		if request.MessageType() == dhcpv4.MessageTypeRequest {
			kind = dhcpv4.MessageTypeAck
		}
		answer.UpdateOption(dhcpv4.OptMessageType(kind))
		lease(answer)
		reply := ethernet(answer.ToBytes(), frame[6:12])
		if _, err := conn.Write(slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply)); err != nil {
			return io.EOF
		}
		d.offers <- struct{}{}
	}
}

// Sizes of headers in bytes, and the ports of DHCP.
const (
	ethernetSize, ipSize, udpSize = 14, 20, 8
	serverPort, clientPort        = 67, 68
)

// dhcpOf returns the request in a frame, or nil when there is none.
func dhcpOf(frame []byte) *dhcpv4.DHCPv4 {
	const headers = ethernetSize + ipSize + udpSize
	if len(frame) < headers || frame[12] != 8 || frame[13] != 0 || frame[ethernetSize+9] != 17 ||
		binary.BigEndian.Uint16(frame[ethernetSize+ipSize+2:]) != serverPort {
		return nil
	}
	request, err := dhcpv4.FromBytes(frame[headers:])
	if err != nil {
		return nil
	}
	return request
}

// ethernet puts an answer into a UDP packet of 10.66.0.1 and a frame.
func ethernet(payload, to []byte) []byte {
	frame := slices.Concat(to, []byte{0x52, 0x54, 0, 0x66, 0, 1, 8, 0})
	be := binary.BigEndian
	ip := make([]byte, ipSize)
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	be.PutUint16(ip[2:], uint16(ipSize+udpSize+len(payload)))
	copy(ip[12:], []byte{10, 66, 0, 1, 255, 255, 255, 255})
	var sum uint32
	for i := 0; i < ipSize; i += 2 {
		sum += uint32(be.Uint16(ip[i:]))
	}
	be.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	udp := make([]byte, udpSize) // without a checksum
	be.PutUint16(udp[0:], serverPort)
	be.PutUint16(udp[2:], clientPort)
	be.PutUint16(udp[4:], uint16(udpSize+len(payload)))
	return slices.Concat(frame, ip, udp, payload)
}

// evil is what must be nowhere in the guest.
const evil = "$(echo PWNED >/dev/console);`reboot`;|&\n\x1b[2J"

// shellMetacharacters is a lease with an address and evil in every string.
func shellMetacharacters(a *dhcpv4.DHCPv4) {
	a.YourIPAddr = net.IPv4(10, 66, 0, 9)
	a.ServerHostName, a.BootFileName = evil, evil
	a.UpdateOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 66, 0, 1)))
	a.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
	a.UpdateOption(dhcpv4.OptRouter(net.IPv4(10, 66, 0, 1)))
	a.UpdateOption(dhcpv4.OptDNS(net.IPv4(10, 66, 0, 1)))
	a.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{0, 1}))
	a.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionIPAddressLeaseTime, []byte{0, 0, 0, 0}))
	for _, code := range []dhcpv4.GenericOptionCode{12, 15, 17, 40, 56, 60, 66, 67, 72, 100, 101, 114, 119, 252} {
		a.UpdateOption(dhcpv4.OptGeneric(code, []byte(evil)))
	}
}

// hugeOptions is a lease as large as a packet can be: 60,000 bytes of options, and
// routes without end.
func hugeOptions(a *dhcpv4.DHCPv4) {
	shellMetacharacters(a)
	a.UpdateOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(224), bytes.Repeat([]byte(evil), 50_000/len(evil))))
	a.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionClasslessStaticRoute, bytes.Repeat([]byte{24, 10, 77, 0, 10, 66, 0, 1}, 1000)))
}

// hijack is a lease that says the service's address is on this very network.
func hijack(a *dhcpv4.DHCPv4) {
	shellMetacharacters(a)
	route := netip.MustParseAddr(hostAddress).As4()
	a.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionClasslessStaticRoute, slices.Concat([]byte{32}, route[:], []byte{10, 66, 0, 1})))
}

// TestHostileLease boots with a second interface on a hostile network, which is
// tried beside the good one: the guest neither falls for it nor stumbles over it.
func TestHostileLease(t *testing.T) {
	c := small(t, "debian")
	path := registered(t, "small", c)
	for _, tc := range []struct {
		name  string
		lease func(*dhcpv4.DHCPv4)
		taken string // what the agent says of it; empty when it is too large to arrive
	}{
		{"shell metacharacters", shellMetacharacters, "10.66.0.9/24 via 10.66.0.1"},
		{"64 KiB of options", hugeOptions, ""},
		{"route to the service", hijack, "10.66.0.9/24"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, c, path)
			var d *hostileDHCP
			d, h.extra = newHostileDHCP(t, tc.lease)
			// The hostile interface comes first, so that its lease is there in time.
			h.network.Mode = launch.NetworkNone
			h.extra = append(h.extra, "-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,romfile=")
			v := h.boot(t)
			expect(t, v, `snpguard: .* hand-over: to `, untilAgent)
			want := 2 // an offer and a lease
			if tc.taken == "" {
				want = 1 // which it drops; it may not have asked again when the other network answered
			}
			if len(d.offers) < want {
				t.Errorf("the guest was sent %d answers, want %d at least", len(d.offers), want)
			}
			if tc.taken != "" && !strings.Contains(v.Log(), "network: eth0 "+tc.taken+"\n") {
				t.Error("the hostile lease was not taken, so that this shows nothing")
			}
			if strings.Contains(v.Log(), "PWNED") || strings.Contains(v.Log(), "$(") {
				t.Error("the lease's text is on the console")
			}
		})
	}
}

// TestNoNetwork boots without any interface.
func TestNoNetwork(t *testing.T) {
	t.Parallel()
	c := smallNamed(t, "debian", "no-network", "--deadline", impatient)
	v := boot(t, c, registered(t, "no-network", c), "--snapshot", "--memory", "512M", "--net", "none")
	poweredOff(t, v, `network: no network interface.* \(given up: the deadline of 1m0s has passed\)`)
}
