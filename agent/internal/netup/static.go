package netup

import (
	"fmt"
	"net/netip"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// static returns the settings that the measured configuration names.
func static(c bootconf.Network) (Settings, error) {
	var s Settings
	for _, text := range c.Addresses {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return s, fmt.Errorf("network.addresses: %w", err)
		}
		s.Addresses = append(s.Addresses, p)
	}
	for _, text := range c.Gateways {
		via, err := netip.ParseAddr(text)
		if err != nil {
			return s, fmt.Errorf("network.gateways: %w", err)
		}
		all := netip.IPv4Unspecified()
		if via.Is6() {
			all = netip.IPv6Unspecified()
		}
		s.Routes = append(s.Routes, Route{netip.PrefixFrom(all, 0), via})
	}
	for _, text := range c.DNS {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return s, fmt.Errorf("network.dns: %w", err)
		}
		s.DNS = append(s.DNS, a)
	}
	return s, nil
}
