package netup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
)

// Waiting times of one DHCP exchange: tries after 1, 2, 4 and 8 seconds.
const (
	dhcpTimeout = time.Second
	dhcpTries   = 4
)

// Leaser asks for a lease on an interface; [DHCP] in production.
type Leaser func(ctx context.Context, l Link) (Settings, error)

// dhcp does one exchange with whoever answers first.
func dhcp(ctx context.Context, l Link) (Settings, error) {
	client, err := nclient4.New(l.Name, nclient4.WithHWAddr(l.MAC), nclient4.WithTimeout(dhcpTimeout), nclient4.WithRetry(dhcpTries))
	if err != nil {
		return Settings{}, fmt.Errorf("ask for a DHCP lease: %w", err)
	}
	defer client.Close() //nolint:errcheck // nothing is kept
	lease, err := client.Request(ctx, dhcpv4.WithRequestedOptions(
		dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer,
		dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionInterfaceMTU, dhcpv4.OptionIPAddressLeaseTime,
	))
	if refused := (*nclient4.ErrNak)(nil); errors.As(err, &refused) {
		return Settings{}, fmt.Errorf("%w: the server withdrew its offer", errLease) // not with its own words
	}
	if err != nil {
		return Settings{}, errors.New("no DHCP lease: no server answered")
	}
	return fromACK(lease.ACK)
}
