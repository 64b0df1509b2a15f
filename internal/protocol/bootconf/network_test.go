package bootconf_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

func TestParseNetwork(t *testing.T) {
	for in, want := range map[string]bootconf.Network{
		"dhcp": {Mode: bootconf.ModeDHCP, MAC: "52:54:00:12:34:56"},
		"static:192.0.2.5/32,gw=192.0.2.1,dns=192.0.2.53,2001:db8::5/64,gw=fe80::1": {
			Mode: bootconf.ModeStatic, MAC: "52:54:00:12:34:56", Addresses: []string{"192.0.2.5/32", "2001:db8::5/64"},
			Gateways: []string{"192.0.2.1", "fe80::1"}, DNS: []string{"192.0.2.53"},
		},
	} {
		got, err := bootconf.ParseNetwork(in, "52:54:00:12:34:56")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "none", "static", "static:", "static:192.0.2.5", "static:gw=192.0.2.1", "static:192.0.2.5/24,gw=x"} {
		if _, err := bootconf.ParseNetwork(in, ""); !errors.Is(err, bootconf.ErrConfig) {
			t.Errorf("%q: got %v", in, err)
		}
	}
	if _, err := bootconf.ParseNetwork("dhcp", "x"); !errors.Is(err, bootconf.ErrConfig) {
		t.Errorf("a MAC that is none: got %v", err)
	}
}
