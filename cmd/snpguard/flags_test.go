package main

import (
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/register"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convertopts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// TestAttributesAreFlags compares the flags of a command with the attributes of the
// Packer component that does the same.
func TestAttributesAreFlags(t *testing.T) {
	for _, tc := range []struct {
		cmd    *cobra.Command
		config any
		other  []string // flags that Packer has a way of its own for
	}{
		{newConvertCommand(), convertopts.Config{}, []string{"in", "out", "staging", "ca-file", "force", "json"}},
		{newRegisterCommand(), register.Config{}, []string{"force", "json"}},
	} {
		var flags []string
		for field := range reflect.TypeOf(tc.config).NumField() {
			attribute := reflect.TypeOf(tc.config).Field(field).Tag.Get("mapstructure")
			flag := flagName(tc.cmd, attribute)
			if tc.cmd.Flags().Lookup(flag) == nil {
				t.Errorf("%s: attribute %s is no flag", tc.cmd.Name(), attribute)
			}
			flags = append(flags, flag)
		}
		tc.cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(flags, f.Name) && !slices.Contains(tc.other, f.Name) {
				t.Errorf("%s: flag --%s is no attribute", tc.cmd.Name(), f.Name)
			}
		})
	}
}

func TestFlagErrors(t *testing.T) {
	cmd := newRegisterCommand()
	for _, tc := range []struct {
		err   error
		want  string
		usage bool
	}{
		{option.Errorf("vcpu_types", "is missing"), "--vcpu-type is missing", true},
		{errors.Join(option.Errorf("image_name", "is missing"), option.Errorf("vcpus", "is 0")), "--name is missing\n--vcpus is 0", true},
		{option.Wrap("policy", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}), "--policy: open x: file does not exist", false},
		{option.Errorf("policy", "excludes tcb_floors and not_a_flag"), "--policy excludes --tcb-floor and not_a_flag", true},
		{errors.New("away"), "away", false},
	} {
		err := flagErrors(cmd, tc.err)
		var usage usageError
		if strings.TrimSpace(err.Error()) != tc.want || errors.As(err, &usage) != tc.usage {
			t.Errorf("got %v", err)
		}
	}
}
