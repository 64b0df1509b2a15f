package netup

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Router advertisement (RFC 4861, section 4.2) and its option RDNSS (RFC 8106,
// section 5.1): offsets and sizes in bytes.
const (
	raType       = 134
	raHeaderSize = 16
	optionUnit   = 8
	optionRDNSS  = 25
	rdnssHeader  = 8
	rdnssLife    = 4
	addressSize  = 16
)

var errRA = errors.New("malformed router advertisement")

// parseRA returns the DNS servers of a router advertisement, at most maxDNS. The
// kernel itself takes prefixes and routers from it.
func parseRA(b []byte) ([]netip.Addr, error) {
	if len(b) < raHeaderSize || b[0] != raType || b[1] != 0 {
		return nil, errRA
	}
	var dns []netip.Addr
	for rest := b[raHeaderSize:]; len(rest) > 0; {
		if len(rest) < optionUnit || rest[1] == 0 || int(rest[1])*optionUnit > len(rest) {
			return nil, errRA
		}
		option := rest[:int(rest[1])*optionUnit]
		rest = rest[len(option):]
		if option[0] != optionRDNSS || binary.BigEndian.Uint32(option[rdnssLife:]) == 0 {
			continue
		}
		for list := option[rdnssHeader:]; len(list) >= addressSize; list = list[addressSize:] {
			a := netip.AddrFrom16([16]byte(list))
			if len(dns) < maxDNS && (a.IsGlobalUnicast() || a.IsLinkLocalUnicast()) && !a.Is4In6() {
				dns = append(dns, a)
			}
		}
	}
	return dns, nil
}
