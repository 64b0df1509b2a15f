package convert

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// TestDefaults holds the defaults, which are tags, against what the packages that
// they are about call their default.
func TestDefaults(t *testing.T) {
	var c Config
	option.SetDefaults(&c)
	want := Config{Format: QCOW2, Network: bootconf.ModeDHCP, CloudInit: CloudInitNone, Initrd: bootconf.InitrdMinimal, Deadline: bootconf.DefaultDeadline}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestRead(t *testing.T) {
	c := Config{NoEncryption: true, Size: "20G", Network: "static:192.0.2.7/24,gw=192.0.2.1", NetworkMAC: "02:00:00:00:00:01", Deadline: time.Minute}
	option.SetDefaults(&c)
	s, err := c.read()
	if got := wrongOptions(t, err); !slices.Equal(got, []option.Name{"firmware"}) {
		t.Errorf("wrong is %q: %v", got, err)
	}
	if s.size != 20<<30 || !slices.Equal(s.network.Gateways, []string{"192.0.2.1"}) || s.network.MAC == "" {
		t.Errorf("got %+v", s)
	}
}

// wrongOptions names the options of an error.
func wrongOptions(t *testing.T, err error) []option.Name {
	t.Helper()
	var names []option.Name
	for _, part := range option.List(err) {
		var wrong *option.Error
		if !errors.As(part, &wrong) {
			t.Fatalf("%v names no option", part)
		}
		names = append(names, wrong.Option)
	}
	return names
}

// TestAllMistakesAtOnce names every option that is wrong.
func TestAllMistakesAtOnce(t *testing.T) {
	c := Config{
		Kernel: "6.12", Interactive: true, Size: "much", Network: "dhcp", NetworkMAC: "x", Deadline: 1, AgentPath: "/nonexistent",
		Services: []string{"http://a"}, Format: QCOW2, Initrd: bootconf.InitrdMinimal,
	}
	want := []option.Name{"firmware", "kernel", "size", "network_mac", "deadline", "services", "agent_path"}
	if got := wrongOptions(t, c.Check()); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	c.NoEncryption, c.Network = true, "wlan"
	if got, want := wrongOptions(t, c.Check()), []option.Name{"firmware", "kernel", "size", "network", "deadline"}; !slices.Equal(got, want) {
		t.Errorf("without encryption: got %q, want %q", got, want)
	}
}
