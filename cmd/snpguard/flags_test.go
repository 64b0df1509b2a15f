package main

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/register"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// TestOptionsAreFlags wants a flag that is explained for every option that
// templates have.
func TestOptionsAreFlags(t *testing.T) {
	for cmd, config := range map[*cobra.Command]any{newConvertCommand(): convert.Config{}, newRegisterCommand(): register.Config{}, newEmbedCommand(): embed.Config{}} {
		for i := range reflect.TypeOf(config).NumField() {
			field := reflect.TypeOf(config).Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("flag"), ",")
			flag := cmd.Flags().Lookup(name)
			if flag == nil || flag.Usage == "" {
				t.Errorf("%s: %s is no flag with help", cmd.Name(), field.Name)
			}
		}
	}
}

func TestFlagErrors(t *testing.T) {
	cmd := newRegisterCommand()
	for _, tc := range []struct {
		err   error
		want  string
		usage bool
	}{
		{option.Missingf("vcpu_types", "which?"), "--vcpu-type is missing: which?", true},
		{errors.Join(option.Missingf("image_name", "which?"), option.Errorf("vcpus", "0")), "--name is missing: which?\n--vcpus: 0", true},
		{option.Wrap("policy", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}), "--policy: open x: file does not exist", false},
		{option.Excludesf("policy", "%s and %s", option.Name("tcb_floors"), option.Name("not_a_flag")), "--policy excludes --tcb-floor and not_a_flag", true},
		{option.Existsf("bundle", "x exists"), "--bundle: x exists; --force replaces it", false},
		{option.Unavailablef("bundle", "no disk"), "--bundle: no disk", false},
		{errors.New("away"), "away", false},
	} {
		err := flagErrors(cmd, tc.err)
		var usage usageError
		if strings.TrimSpace(err.Error()) != tc.want || errors.As(err, &usage) != tc.usage {
			t.Errorf("got %v", err)
		}
	}
}
