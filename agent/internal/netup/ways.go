package netup

import (
	"errors"
	"net/netip"
	"slices"
)

// Ways returns the interfaces that are configured by now, in the order in which
// they were, each with all of its addresses and DNS servers.
func (n *Net) Ways() []Way {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ways []Way
	for _, w := range n.ways {
		at := slices.IndexFunc(ways, func(o Way) bool { return o.Link.Index == w.Link.Index })
		if at < 0 {
			w.Settings.DNS = slices.Concat(w.Settings.DNS, n.dns6[w.Link.Index])
			ways = append(ways, w)
			continue
		}
		s := &ways[at].Settings
		s.Addresses, s.Routes, s.DNS = slices.Concat(s.Addresses, w.Settings.Addresses), slices.Concat(s.Routes, w.Settings.Routes), slices.Concat(s.DNS, w.Settings.DNS)
	}
	return ways
}

// Down takes everything back. The network has to be brought up anew afterwards.
func (n *Net) Down() error {
	n.cancel()
	n.done.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, l := range n.links {
		errs = append(errs, n.Kernel.Down(l))
	}
	n.links, n.ways = nil, nil
	return errors.Join(errs...)
}

// add notes that an interface is configured. A lease replaces the interface's
// earlier one; IPv4 and IPv6 are two ways, for either may lead nowhere.
func (n *Net) add(l Link, s Settings) {
	n.mu.Lock()
	n.ways = slices.DeleteFunc(n.ways, func(w Way) bool { return w.Link.Index == l.Index && w.Settings.family() == s.family() })
	n.ways = append(n.ways, Way{l, s})
	first := len(n.ways) == 1
	n.mu.Unlock()
	n.Log("%s %s", l.Name, s)
	if first {
		n.once()
	}
}

// once tells Up that there is a way.
func (n *Net) once() {
	select {
	case <-n.ready:
	default:
		close(n.ready)
	}
}

func (s Settings) family() bool { return len(s.Addresses) > 0 && s.Addresses[0].Addr().Is6() }

func (n *Net) has(l Link, s Settings) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.ways, func(w Way) bool {
		return w.Link.Index == l.Index && slices.Equal(w.Settings.Addresses, s.Addresses) && slices.Equal(w.Settings.Routes, s.Routes)
	})
}

func (n *Net) advertised(l Link, dns []netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dns6[l.Index] = dns
}

// because keeps what went wrong, and logs it when it is new.
func (n *Net) because(err error) {
	n.mu.Lock()
	known := n.why == err.Error()
	n.why = err.Error()
	n.mu.Unlock()
	if !known {
		n.Log("%v", err)
	}
}

func (n *Net) reason() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.why
}
