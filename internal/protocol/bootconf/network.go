package bootconf

import (
	"fmt"
	"strings"
)

// ParseNetwork reads what people write: "dhcp", or "static:" followed by items
// that commas separate: addresses with their prefix lengths, gw=ADDRESS and
// dns=ADDRESS. A MAC restricts either to one interface. The error wraps
// ErrConfig.
func ParseNetwork(s, mac string) (Network, error) {
	n := Network{Mode: ModeDHCP, MAC: strings.ToLower(mac)}
	if list, static := strings.CutPrefix(s, ModeStatic+":"); static {
		n.Mode = ModeStatic
		for item := range strings.SplitSeq(list, ",") {
			if gateway, ok := strings.CutPrefix(item, "gw="); ok {
				n.Gateways = append(n.Gateways, gateway)
			} else if dns, ok := strings.CutPrefix(item, "dns="); ok {
				n.DNS = append(n.DNS, dns)
			} else {
				n.Addresses = append(n.Addresses, item)
			}
		}
	} else if s != ModeDHCP {
		return Network{}, fmt.Errorf("%w: %q is neither dhcp nor static:ADDRESS/BITS[,gw=ADDRESS][,dns=ADDRESS]", ErrConfig, s)
	}
	if err := n.validate(); err != nil {
		return Network{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return n, nil
}
