package netup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// ack is a lease as a server sends it, through the bytes.
func ack(tb testing.TB, options ...dhcpv4.Option) *dhcpv4.DHCPv4 {
	tb.Helper()
	d, err := dhcpv4.New(dhcpv4.WithYourIP(net.IPv4(10, 0, 2, 15)), dhcpv4.WithMessageType(dhcpv4.MessageTypeAck))
	if err != nil {
		tb.Fatal(err)
	}
	for _, o := range options {
		d.UpdateOption(o)
	}
	parsed, err := dhcpv4.FromBytes(d.ToBytes())
	if err != nil {
		tb.Fatal(err)
	}
	return parsed
}

func mask(ones int) dhcpv4.Option { return dhcpv4.OptSubnetMask(net.CIDRMask(ones, 32)) }

func router(ips ...net.IP) dhcpv4.Option { return dhcpv4.OptRouter(ips...) }

func raw(code uint8, value []byte) dhcpv4.Option {
	return dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), value)
}

func describe(s Settings) string {
	text := fmt.Sprint(s.Addresses)
	for _, r := range s.Routes {
		text += fmt.Sprintf(" %s>%s", r.Dst, r.Via)
	}
	return text + fmt.Sprintf(" dns %v mtu %d renew %v", s.DNS, s.MTU, s.Renew)
}

func TestLeases(t *testing.T) {
	gw := net.IPv4(10, 0, 2, 2)
	evil := []byte("$(reboot);`id`\n\x1b[2J")
	for name, tc := range map[string]struct {
		options []dhcpv4.Option
		want    string
	}{
		"usual": {[]dhcpv4.Option{mask(24), router(gw), dhcpv4.OptDNS(net.IPv4(10, 0, 2, 3)), dhcpv4.OptIPAddressLeaseTime(time.Hour)},
			"[10.0.2.15/24] 0.0.0.0/0>10.0.2.2 dns [10.0.2.3] mtu 0 renew 30m0s"},
		"one address":     {[]dhcpv4.Option{mask(32), router(net.IPv4(169, 254, 1, 1))}, "[10.0.2.15/32] 0.0.0.0/0>169.254.1.1 dns [] mtu 0 renew 6h0m0s"},
		"no mask":         {[]dhcpv4.Option{router(gw)}, "[10.0.2.15/32] 0.0.0.0/0>10.0.2.2 dns [] mtu 0 renew 6h0m0s"},
		"first router":    {[]dhcpv4.Option{mask(24), router(net.IPv4(224, 0, 0, 1), gw, net.IPv4(10, 0, 2, 9))}, "[10.0.2.15/24] 0.0.0.0/0>10.0.2.2 dns [] mtu 0 renew 6h0m0s"},
		"no router":       {[]dhcpv4.Option{mask(24)}, "[10.0.2.15/24] dns [] mtu 0 renew 6h0m0s"},
		"classless":       {[]dhcpv4.Option{mask(32), router(net.IPv4(9, 9, 9, 9)), raw(121, []byte{32, 10, 0, 2, 2, 0, 0, 0, 0, 0, 10, 0, 2, 2})}, "[10.0.2.15/32] 10.0.2.2/32>invalid IP 0.0.0.0/0>10.0.2.2 dns [] mtu 0 renew 6h0m0s"},
		"bad gateway":     {[]dhcpv4.Option{mask(24), raw(121, []byte{8, 9, 224, 0, 0, 1, 0, 10, 0, 2, 2})}, "[10.0.2.15/24] 0.0.0.0/0>10.0.2.2 dns [] mtu 0 renew 6h0m0s"},
		"broken routes":   {[]dhcpv4.Option{mask(24), router(gw), raw(121, []byte{33, 1})}, "[10.0.2.15/24] 0.0.0.0/0>10.0.2.2 dns [] mtu 0 renew 6h0m0s"},
		"three servers":   {[]dhcpv4.Option{mask(24), dhcpv4.OptDNS(net.IPv4(127, 0, 0, 1), net.IPv4(1, 1, 1, 1), net.IPv4(2, 2, 2, 2), net.IPv4(3, 3, 3, 3), net.IPv4(4, 4, 4, 4))}, "[10.0.2.15/24] dns [1.1.1.1 2.2.2.2 3.3.3.3] mtu 0 renew 6h0m0s"},
		"mtu":             {[]dhcpv4.Option{mask(24), raw(26, []byte{5, 180})}, "[10.0.2.15/24] dns [] mtu 1460 renew 6h0m0s"},
		"tiny mtu":        {[]dhcpv4.Option{mask(24), raw(26, []byte{0, 68})}, "[10.0.2.15/24] dns [] mtu 0 renew 6h0m0s"},
		"short lease":     {[]dhcpv4.Option{mask(24), dhcpv4.OptIPAddressLeaseTime(time.Second)}, "[10.0.2.15/24] dns [] mtu 0 renew 1m0s"},
		"words are words": {[]dhcpv4.Option{mask(24), raw(12, evil), raw(15, evil), raw(17, evil), raw(66, evil), raw(67, evil), raw(119, evil), raw(252, evil)}, "[10.0.2.15/24] dns [] mtu 0 renew 6h0m0s"},
		"64 KiB":          {[]dhcpv4.Option{mask(24), router(gw), raw(43, bytes.Repeat([]byte("x"), 64<<10))}, "[10.0.2.15/24] 0.0.0.0/0>10.0.2.2 dns [] mtu 0 renew 6h0m0s"},
	} {
		s, err := fromACK(ack(t, tc.options...))
		if err != nil || describe(s) != tc.want {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, describe(s), tc.want)
		}
	}
}

func TestUselessLeases(t *testing.T) {
	for name, damage := range map[string]func(*dhcpv4.DHCPv4){
		"no address":   func(d *dhcpv4.DHCPv4) { d.YourIPAddr = net.IPv4zero },
		"multicast":    func(d *dhcpv4.DHCPv4) { d.YourIPAddr = net.IPv4(224, 0, 0, 1) },
		"broadcast":    func(d *dhcpv4.DHCPv4) { d.YourIPAddr = net.IPv4bcast },
		"loopback":     func(d *dhcpv4.DHCPv4) { d.YourIPAddr = net.IPv4(127, 0, 0, 1) },
		"mask of none": func(d *dhcpv4.DHCPv4) { d.UpdateOption(mask(0)) },
		"mask of gaps": func(d *dhcpv4.DHCPv4) { d.UpdateOption(raw(1, []byte{255, 0, 255, 0})) },
	} {
		d := ack(t, mask(24))
		damage(d)
		if s, err := fromACK(d); !errors.Is(err, errLease) {
			t.Errorf("%s: %v, %+v", name, err, s)
		}
	}
}

func TestManyRoutes(t *testing.T) {
	var option []byte
	for i := range 60 {
		option = append(option, 24, 10, 1, byte(i), 10, 0, 2, 2)
	}
	if s, err := fromACK(ack(t, mask(24), raw(121, option))); err != nil || len(s.Routes) != maxRoutes {
		t.Errorf("%v, %d routes", err, len(s.Routes))
	}
}

// FuzzLease turns any packet into settings that stay in their bounds.
func FuzzLease(f *testing.F) {
	f.Add(ack(f, mask(24), router(net.IPv4(10, 0, 2, 2))).ToBytes())
	f.Add(ack(f, mask(32), raw(121, []byte{32, 10, 0, 2, 2, 0, 0, 0, 0, 0, 10, 0, 2, 2}), raw(26, []byte{5, 180})).ToBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := dhcpv4.FromBytes(b)
		if err != nil {
			return
		}
		s, err := fromACK(d)
		if err != nil {
			return
		}
		if len(s.Addresses) != 1 || s.Addresses[0].Bits() < 1 || len(s.Routes) > maxRoutes || len(s.DNS) > maxDNS || s.Renew < minRenew || s.Renew > maxRenew {
			t.Fatalf("%s", describe(s))
		}
		for _, r := range s.Routes {
			if !r.Dst.IsValid() {
				t.Fatalf("%s", describe(s))
			}
		}
		if text := s.String(); strings.ContainsAny(text, "\x00\n\x1b;$`") {
			t.Fatalf("%q", text)
		}
	})
}

// advertisement builds a router advertisement.
func advertisement(options ...[]byte) []byte {
	b := make([]byte, raHeaderSize)
	b[0] = raType
	return append(b, bytes.Join(options, nil)...)
}

func rdnss(life uint32, servers ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{optionRDNSS, byte(1 + 2*len(servers)), 0, 0}, life)
	for _, s := range servers {
		b = append(b, net.ParseIP(s).To16()...)
	}
	return b
}

func TestParseRA(t *testing.T) {
	prefix := append([]byte{3, 4}, make([]byte, 30)...)
	for name, tc := range map[string]struct {
		packet []byte
		want   string
	}{
		"none":           {advertisement(prefix), "[] <nil>"},
		"servers":        {advertisement(prefix, rdnss(60, "2001:db8::53", "fe80::1"), []byte{1, 1, 0, 0, 0, 0, 0, 0}), "[2001:db8::53 fe80::1] <nil>"},
		"withdrawn":      {advertisement(rdnss(0, "2001:db8::53")), "[] <nil>"},
		"many":           {advertisement(rdnss(60, "2001:db8::1", "2001:db8::2"), rdnss(60, "2001:db8::3", "2001:db8::4")), "[2001:db8::1 2001:db8::2 2001:db8::3] <nil>"},
		"not addresses":  {advertisement(rdnss(60, "::1", "::", "ff02::1", "::ffff:10.0.0.1")), "[] <nil>"},
		"zero length":    {advertisement([]byte{25, 0, 0, 0, 0, 0, 0, 0}), "[] malformed router advertisement"},
		"too long":       {advertisement([]byte{25, 3, 0, 0, 0, 0, 0, 1}), "[] malformed router advertisement"},
		"half a unit":    {advertisement([]byte{25, 1, 0}), "[] malformed router advertisement"},
		"too short":      {make([]byte, 15), "[] malformed router advertisement"},
		"something else": {append([]byte{135}, make([]byte, 20)...), "[] malformed router advertisement"},
	} {
		dns, err := parseRA(tc.packet)
		if got := fmt.Sprint(dns, " ", err); strings.Join(strings.Fields(got), " ") != tc.want {
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
	}
}

func FuzzParseRA(f *testing.F) {
	f.Add(advertisement(rdnss(60, "2001:db8::53")))
	f.Fuzz(func(t *testing.T, b []byte) {
		dns, err := parseRA(b)
		if len(dns) > maxDNS || (err != nil && dns != nil) {
			t.Fatalf("%v, %v", dns, err)
		}
		for _, a := range dns {
			if !a.Is6() || a.Is4In6() || a.IsMulticast() || a.IsLoopback() {
				t.Fatalf("server %s", a)
			}
		}
	})
}

func TestStatic(t *testing.T) {
	s, err := static(bootconf.Network{
		Addresses: []string{"192.0.2.9/32", "2001:db8::9/64"}, Gateways: []string{"192.0.2.1", "fe80::1"}, DNS: []string{"192.0.2.53"},
	})
	if want := "[192.0.2.9/32 2001:db8::9/64] 0.0.0.0/0>192.0.2.1 ::/0>fe80::1 dns [192.0.2.53] mtu 0 renew 0s"; err != nil || describe(s) != want {
		t.Errorf("%v, %s", err, describe(s))
	}
	for _, bad := range []bootconf.Network{{Addresses: []string{"x"}}, {Gateways: []string{"x"}}, {DNS: []string{"x"}}} {
		if _, err := static(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
