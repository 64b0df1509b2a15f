// Package netup brings the network up for the time of the unlock and takes it
// down again: DHCPv4 and IPv6 autoconfiguration on every Ethernet interface, or
// the measured static settings. Of what the network says only addresses are
// used, parsed and bounded.
package netup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/retry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// maxLinks bounds how many interfaces are used.
const maxLinks = 16

// Net is the network as far as it is up. It goes on by itself: interfaces that
// appear late and leases that come late are used.
type Net struct {
	Kernel Kernel
	Lease  Leaser
	// Advertised hands on the DNS servers of router advertisements.
	Advertised func(ctx context.Context, index int, found func([]netip.Addr)) error
	Log        func(format string, args ...any)
	Poll       time.Duration // how often interfaces and addresses are looked at

	config bootconf.Network
	cancel context.CancelFunc
	done   sync.WaitGroup
	ready  chan struct{} // closed when the first way is there

	mu    sync.Mutex
	links []Link // that were brought up
	ways  []Way
	dns6  map[int][]netip.Addr // by interface, from router advertisements
	why   string               // what the last attempt met
}

// Way is an interface that is configured.
type Way struct {
	Link     Link
	Settings Settings
}

// New returns the running kernel's network.
func New(log func(string, ...any)) *Net {
	return &Net{Kernel: Netlink{}, Lease: dhcp, Advertised: listenRA, Log: log, Poll: 200 * time.Millisecond}
}

// Up starts and returns when the first interface is configured. The error is
// what went wrong last, with the context's cause.
func (n *Net) Up(ctx context.Context, c bootconf.Network) error {
	running, cancel := context.WithCancel(ctx)
	n.config, n.cancel, n.ready, n.dns6 = c, cancel, make(chan struct{}), map[int][]netip.Addr{}
	n.spawn(func() { n.watch(running) })
	select {
	case <-n.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s (given up: %w)", n.reason(), context.Cause(ctx))
	}
}

// spawn runs a part of the network. A panic ends this part alone, with its reason
// in the log: PID 1 may not just end.
func (n *Net) spawn(part func()) {
	n.done.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				n.because(fmt.Errorf("internal error: %v", p))
			}
		}()
		part()
	})
}

// watch brings up interfaces as they appear.
func (n *Net) watch(ctx context.Context) {
	for {
		if err := n.newLinks(ctx); err != nil {
			n.because(err)
		}
		if !retry.Sleep(ctx, n.Poll) {
			return
		}
	}
}

func (n *Net) newLinks(ctx context.Context) error {
	links, err := n.Kernel.Links()
	if err != nil {
		return err
	}
	matching := 0
	for _, l := range links {
		if n.config.MAC != "" && !strings.EqualFold(l.MAC.String(), n.config.MAC) {
			continue
		}
		matching++
		if n.known(l) {
			continue
		}
		if err := n.Kernel.Up(l); err != nil {
			n.because(fmt.Errorf("bring up %s: %w", l.Name, err))
			continue
		}
		n.mu.Lock()
		n.links = append(n.links, l)
		n.mu.Unlock()
		n.start(ctx, l)
	}
	if matching == 0 && n.config.MAC != "" {
		return fmt.Errorf("no network interface with address %s among %d", n.config.MAC, len(links))
	}
	if matching == 0 {
		return errors.New("no network interface: is the driver among the initrd's modules?")
	}
	return nil
}

func (n *Net) known(l Link) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.links) >= maxLinks || slices.ContainsFunc(n.links, func(o Link) bool { return o.Index == l.Index })
}

// start configures one interface.
func (n *Net) start(ctx context.Context, l Link) {
	if n.config.Mode == bootconf.ModeStatic {
		n.spawn(func() { n.static(ctx, l) })
		return
	}
	n.spawn(func() { n.dhcp(ctx, l) })
	n.spawn(func() { n.autoconfigured(ctx, l) })
	n.spawn(func() {
		if err := n.Advertised(ctx, l.Index, func(dns []netip.Addr) { n.advertised(l, dns) }); err != nil && ctx.Err() == nil {
			n.because(err)
		}
	})
}

func (n *Net) static(ctx context.Context, l Link) {
	settings, err := static(n.config)
	for err != nil || n.apply(l, settings) != nil {
		if err != nil {
			n.because(err)
		}
		if !retry.Sleep(ctx, time.Second) {
			return
		}
	}
}

// dhcp asks until there is a lease, and again at half of its time.
func (n *Net) dhcp(ctx context.Context, l Link) {
	for {
		wait := time.Second
		settings, err := n.Lease(ctx, l)
		if err != nil && ctx.Err() == nil {
			n.because(fmt.Errorf("%s: %w", l.Name, err))
		}
		if err == nil && n.apply(l, settings) == nil {
			wait = max(wait, settings.Renew)
		}
		if !retry.Sleep(ctx, wait) {
			return
		}
	}
}

// apply sets what is new.
func (n *Net) apply(l Link, s Settings) error {
	if n.has(l, s) {
		return nil
	}
	if err := n.Kernel.Apply(l, s); err != nil {
		n.because(err)
		return err
	}
	n.add(l, s)
	return nil
}

// autoconfigured waits for the kernel to configure IPv6 by itself.
func (n *Net) autoconfigured(ctx context.Context, l Link) {
	for {
		s, err := n.Kernel.Autoconfigured(l)
		if err != nil {
			n.because(err)
		}
		if _, routed := s.gateway(); err == nil && routed && len(s.Addresses) > 0 {
			n.add(l, s)
			return
		}
		if !retry.Sleep(ctx, n.Poll) {
			return
		}
	}
}
