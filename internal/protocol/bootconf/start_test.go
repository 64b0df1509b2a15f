package bootconf_test

import (
	"reflect"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

func TestParseMount(t *testing.T) {
	for cmdline, want := range map[string]bootconf.Mount{
		"":                                      {ReadOnly: true, Options: []string{}},
		"ro rootflags=rw,noatime":               {Options: []string{"noatime"}},
		"console=ttyS0 ro rw":                   {Options: []string{}},
		"rw quiet ro":                           {ReadOnly: true, Options: []string{}},
		"rootflags=subvol=@ rw":                 {Options: []string{"subvol=@"}},
		"rootflags=a rootflags=defaults,,b=c,d": {ReadOnly: true, Options: []string{"b=c", "d"}},
		`rootflags="noatime,commit=5" xro`:      {ReadOnly: true, Options: []string{"noatime", "commit=5"}},
	} {
		if got := bootconf.ParseMount(cmdline); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v", cmdline, got)
		}
	}
}
