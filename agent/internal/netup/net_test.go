package netup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// fakeKernel has interfaces that appear at some time.
type fakeKernel struct {
	mu      sync.Mutex
	links   func() []Link
	auto    map[string]Settings
	applied []string
	up      []string
	down    []string
	fail    error // of Apply
	deaf    error // of Autoconfigured
}

func (f *fakeKernel) Links() ([]Link, error) { return f.links(), nil }

func (f *fakeKernel) Up(l Link) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.up = append(f.up, l.Name)
	return nil
}

func (f *fakeKernel) Down(l Link) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = append(f.down, l.Name)
	return nil
}

func (f *fakeKernel) Apply(l Link, s Settings) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = append(f.applied, l.Name+" "+s.String())
	return f.fail
}

func (f *fakeKernel) Autoconfigured(l Link) (Settings, error) { return f.auto[l.Name], f.deaf }

func eth(n int) Link {
	return Link{Name: fmt.Sprintf("eth%d", n), Index: n + 2, MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(n)}, MTU: 1500}
}

func settings(address, gateway string) Settings {
	all := netip.MustParsePrefix("0.0.0.0/0")
	if strings.Contains(address, ":") {
		all = netip.MustParsePrefix("::/0")
	}
	return Settings{Addresses: []netip.Prefix{netip.MustParsePrefix(address)}, Routes: []Route{{all, netip.MustParseAddr(gateway)}}}
}

// newNet has no DHCP server and no router.
func newNet(k *fakeKernel) *Net {
	return &Net{
		Kernel: k, Poll: 200 * time.Millisecond, Log: func(string, ...any) {},
		Lease: func(ctx context.Context, _ Link) (Settings, error) {
			select {
			case <-ctx.Done():
			case <-time.After(15 * time.Second):
			}
			return Settings{}, errors.New("no DHCP lease: no server answered")
		},
		Advertised: func(ctx context.Context, _ int, _ func([]netip.Addr)) error { <-ctx.Done(); return ctx.Err() },
	}
}

func dhcpMode() bootconf.Network { return bootconf.Network{Mode: bootconf.ModeDHCP} }

// TestSecondInterface has nobody answer on the first, and the second appear late.
func TestSecondInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		k := &fakeKernel{links: func() []Link {
			if time.Since(began) < 3*time.Second {
				return []Link{eth(0)}
			}
			return []Link{eth(0), eth(1)}
		}}
		n := newNet(k)
		silent := n.Lease
		n.Lease = func(ctx context.Context, l Link) (Settings, error) {
			if l.Name == "eth1" {
				return settings("10.0.2.15/24", "10.0.2.2"), nil
			}
			return silent(ctx, l)
		}
		if err := n.Up(t.Context(), dhcpMode()); err != nil {
			t.Fatal(err)
		}
		if ways := n.Ways(); len(ways) != 1 || ways[0].Link.Name != "eth1" || ways[0].Settings.String() != "10.0.2.15/24 via 10.0.2.2" {
			t.Errorf("ways %+v", ways)
		}
		if err := n.Down(); err != nil || !slices.Equal(k.down, []string{"eth0", "eth1"}) || len(n.Ways()) != 0 {
			t.Errorf("%v, down %v", err, k.down)
		}
	})
}

// TestBothFamilies joins what IPv4 and IPv6 bring on one interface.
func TestBothFamilies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{links: func() []Link { return []Link{eth(0)} }, auto: map[string]Settings{"eth0": settings("2001:db8::9/64", "fe80::1")}}
		n := newNet(k)
		n.Lease = func(context.Context, Link) (Settings, error) {
			time.Sleep(time.Second)
			s := settings("10.0.2.15/24", "10.0.2.2")
			s.DNS, s.Renew = []netip.Addr{netip.MustParseAddr("10.0.2.3")}, time.Minute
			return s, nil
		}
		n.Advertised = func(ctx context.Context, index int, found func([]netip.Addr)) error {
			if index != eth(0).Index {
				t.Errorf("listens on interface %d", index)
			}
			found([]netip.Addr{netip.MustParseAddr("2001:db8::53")})
			<-ctx.Done()
			return ctx.Err()
		}
		if err := n.Up(t.Context(), dhcpMode()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the advertisement may come behind the addresses
		if ways := n.Ways(); len(ways) != 1 || len(ways[0].Settings.Addresses) != 1 || fmt.Sprint(ways[0].Settings.DNS) != "[2001:db8::53]" {
			t.Errorf("first %+v", ways)
		}
		time.Sleep(10 * time.Minute) // leases are renewed, to the same
		ways := n.Ways()
		if len(ways) != 1 || len(ways[0].Settings.Addresses) != 2 || !slices.Contains(ways[0].Settings.DNS, netip.MustParseAddr("10.0.2.3")) {
			t.Errorf("then %+v", ways)
		}
		if len(k.applied) != 1 {
			t.Errorf("applied %v", k.applied)
		}
		if err := n.Down(); err != nil {
			t.Error(err)
		}
	})
}

// TestChangedLease replaces the interface's address.
func TestChangedLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{links: func() []Link { return []Link{eth(0)} }}
		n, leases := newNet(k), 0
		n.Lease = func(context.Context, Link) (Settings, error) {
			leases++
			s := settings(fmt.Sprintf("10.0.2.%d/24", leases), "10.0.2.2")
			s.Renew = time.Minute
			return s, nil
		}
		if err := n.Up(t.Context(), dhcpMode()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Second)
		if ways := n.Ways(); len(ways) != 1 || ways[0].Settings.String() != "10.0.2.2/24 via 10.0.2.2" || len(k.applied) != 2 {
			t.Errorf("%+v, applied %v", ways, k.applied)
		}
		if err := n.Down(); err != nil {
			t.Error(err)
		}
	})
}

func TestStaticMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{links: func() []Link { return []Link{eth(0), eth(1)} }}
		n := newNet(k)
		n.Lease = func(context.Context, Link) (Settings, error) { t.Error("asked for a lease"); return Settings{}, nil }
		c := bootconf.Network{Mode: bootconf.ModeStatic, MAC: "02:00:00:00:00:01", Addresses: []string{"192.0.2.9/32"}, Gateways: []string{"192.0.2.1"}}
		if err := n.Up(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(k.up, []string{"eth1"}) || !slices.Equal(k.applied, []string{"eth1 192.0.2.9/32 via 192.0.2.1"}) {
			t.Errorf("up %v, applied %v", k.up, k.applied)
		}
		if err := n.Down(); err != nil {
			t.Error(err)
		}
	})
}

func TestNetworkNeverComes(t *testing.T) {
	late := errors.New("the deadline has passed")
	nothing := func(*fakeKernel, *Net) {}
	for name, tc := range map[string]struct {
		links  []Link
		config bootconf.Network
		change func(*fakeKernel, *Net)
		want   string
	}{
		"no interface":    {nil, dhcpMode(), nothing, "no network interface: is the driver"},
		"no such address": {[]Link{eth(0)}, bootconf.Network{Mode: bootconf.ModeDHCP, MAC: "02:00:00:00:00:07"}, nothing, "address 02:00:00:00:00:07 among 1"},
		"no server":       {[]Link{eth(0)}, dhcpMode(), nothing, "eth0: no DHCP lease"},
		"bad settings":    {[]Link{eth(0)}, bootconf.Network{Mode: bootconf.ModeStatic, DNS: []string{"x"}}, nothing, `ParseAddr("x")`},
		"refused settings": {[]Link{eth(0)}, bootconf.Network{Mode: bootconf.ModeStatic, Addresses: []string{"192.0.2.9/32"}},
			func(k *fakeKernel, _ *Net) { k.fail = errors.New("no buffers") }, "no buffers"},
		"no word of IPv6": {[]Link{eth(0)}, dhcpMode(), func(k *fakeKernel, _ *Net) { k.deaf = errors.New("no netlink") }, "no netlink"},
		"no ear for routers": {[]Link{eth(0)}, dhcpMode(), func(_ *fakeKernel, n *Net) {
			n.Lease = func(ctx context.Context, _ Link) (Settings, error) { <-ctx.Done(); return Settings{}, ctx.Err() }
			n.Advertised = func(context.Context, int, func([]netip.Addr)) error { return errors.New("no raw socket") }
		}, "no raw socket"},
	} {
		synctest.Test(t, func(t *testing.T) {
			k := &fakeKernel{links: func() []Link { return tc.links }}
			n := newNet(k)
			tc.change(k, n)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, late)
			defer cancel()
			err := n.Up(ctx, tc.config)
			if !errors.Is(err, late) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v", name, err)
			}
			if err := n.Down(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBindNothing has a socket that is closed already, so that no option can be
// set: it may not go out unbound.
func TestBindNothing(t *testing.T) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := conn.SyscallConn()
	if err := errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
	if err := (Way{Link: eth(0)}).bind("", "", raw); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestDialNeedsDNSForNames(t *testing.T) {
	if _, err := (Way{Link: eth(0)}).Dial(t.Context(), "tcp", "attest.example.org:443"); !errors.Is(err, errNoDNS) {
		t.Errorf("got %v", err)
	}
	if _, err := (Way{Link: eth(0)}).Dial(t.Context(), "tcp", "no port"); err == nil {
		t.Error("an address without a port was taken")
	}
}

// TestPanicEndsOnePart has an answer on one interface that nobody foresaw.
func TestPanicEndsOnePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(&fakeKernel{links: func() []Link { return []Link{eth(0), eth(1)} }})
		n.Lease = func(_ context.Context, l Link) (Settings, error) {
			if l.Name == "eth0" {
				panic("nil map")
			}
			time.Sleep(time.Second)
			return settings("10.0.2.15/24", "10.0.2.2"), nil
		}
		if err := n.Up(t.Context(), dhcpMode()); err != nil {
			t.Fatal(err)
		}
		if n.reason() != "internal error: nil map" {
			t.Errorf("reason %q", n.reason())
		}
		if err := n.Down(); err != nil {
			t.Error(err)
		}
	})
}
