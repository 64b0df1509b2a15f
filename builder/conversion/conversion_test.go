package conversion

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// plain is a configuration that needs neither agent nor service.
func plain(dir string) *Config {
	c := &Config{
		Config:          convert.Config{NoEncryption: true},
		OutputDirectory: filepath.Join(dir, "out"), VMName: "web.qcow2", Staging: filepath.Join(dir, "out", "staging"),
	}
	option.SetDefaults(&c.Config)
	return c
}

// converts writes what a conversion leaves.
func converts(_ context.Context, o *convert.Options) (*staging.Conversion, error) {
	c := &staging.Conversion{Format: staging.Format, ImageID: wire.NewUUID(), Kernel: "6.12", Files: map[string]staging.File{staging.NameKernel: {}}}
	o.Events.Step("Convert")
	o.Events.Progress(5, 10)
	o.Events.Progress(3, 10) // workers overtake each other
	o.Events.Progress(10, 10)
	o.Events.Note("title \x1b[2J of the image")
	if err := os.Mkdir(o.Staging, 0o755); err != nil {
		return nil, err
	}
	for _, path := range []string{o.Output, filepath.Join(o.Staging, staging.NameKernel), filepath.Join(o.Staging, staging.NameConversion)} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	ui := packer.TestUi(t)
	a, err := plain(dir).Run(t.Context(), ui, "source", false, converts)
	if err != nil {
		t.Fatal(err)
	}
	files := a.Files()
	if len(files) != 3 || filepath.Base(files[0]) != "web.qcow2" || a.State(StateStaging) != filepath.Join(dir, "out", "staging") ||
		a.State(StateImageID) != a.Id() || a.State("anything") != nil {
		t.Errorf("got %q, %v", files, a)
	}
	if !strings.Contains(a.String(), "NOT ENCRYPTED") {
		t.Errorf("got %s", a)
	}
	if err := a.Destroy(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "out")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}
}

// TestDestroyKeeps asks for the files to be kept, and leaves those of others.
func TestDestroyKeeps(t *testing.T) {
	dir := t.TempDir()
	a, err := plain(dir).Run(t.Context(), packer.TestUi(t), "source", false, converts)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "out", "other")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if a.State(StateKeep) != true || a.Destroy() != nil {
		t.Error("not kept")
	}
	for _, path := range append(a.Files(), other) {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	a.keep.Store(false)
	if err := a.Destroy(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error("a file of somebody else is gone")
	}
}

// TestRunFails leaves no directories that were not there, and names options as
// templates do.
func TestRunFails(t *testing.T) {
	fails := func(context.Context, *convert.Options) (*staging.Conversion, error) {
		return nil, errors.Join(option.Errorf("out", "full"), errors.New("other"))
	}
	dir := t.TempDir()
	c := plain(filepath.Join(dir, "deep", "down"))
	_, err := c.Run(t.Context(), packer.TestUi(t), "source", false, fails)
	if err == nil || err.Error() != "output_directory: full\nother" {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left are %v, %v", entries, err)
	}
}

func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		name   string
		change func(*Config)
		force  bool
		want   []option.Name
	}{
		{"only the firmware", func(*Config) {}, false, []option.Name{"firmware"}},
		{"unknown firmware", func(c *Config) { c.Firmware = option.Placeholder }, false, nil},
		{"exists", func(c *Config) { c.OutputDirectory, c.Firmware = dir, option.Placeholder }, false, []option.Name{"output_directory"}},
		{"exists, force", func(c *Config) { c.OutputDirectory, c.Firmware = dir, option.Placeholder }, true, nil},
		{"name with a directory", func(c *Config) { c.VMName, c.Firmware = "../x", option.Placeholder }, false, []option.Name{"vm_name"}},
		{"recipients", func(c *Config) { c.RecoveryRecipients, c.Firmware = []string{"me"}, option.Placeholder }, false, []option.Name{"recovery_recipients"}},
		{"service known later", func(c *Config) {
			c.NoEncryption, c.AgentPath, c.ServiceURL, c.Firmware = false, "prepare_test", option.Placeholder, option.Placeholder
		}, false, []option.Name{"agent_path"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &Config{Config: convert.Config{NoEncryption: true, Firmware: ""}, OutputDirectory: filepath.Join(dir, "none")}
			tc.change(c)
			var got []option.Name
			for _, err := range option.List(c.Prepare("web", tc.force)) {
				var wrong *option.Error
				if !errors.As(err, &wrong) {
					t.Fatalf("%v names no option", err)
				}
				got = append(got, wrong.Option)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if tc.name == "only the firmware" && (c.VMName != "web.qcow2" || c.Staging != filepath.Join(dir, "none", "staging")) {
				t.Errorf("defaults are %s, %s", c.VMName, c.Staging)
			}
		})
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[2Jb\u009bc é"); got != "a?[2Jb?c é" {
		t.Errorf("got %q", got)
	}
}

func TestDisk(t *testing.T) {
	for _, tc := range []struct {
		files    []string
		named    any
		in, want string
	}{
		{files: []string{"a/efivars.fd", "a/packer-web"}, named: "packer-web", want: "a/packer-web"},
		{files: []string{"a/x.txt", "a/disk.VMDK"}, want: "a/disk.VMDK"},
		{files: []string{"a/disk"}, want: "a/disk"},
		{files: []string{"a/1.qcow2", "a/2.qcow2"}},
		{files: []string{"a/1.qcow2", "a/2.qcow2"}, in: "2.qcow2", want: "a/2.qcow2"},
		{files: []string{"a/1.qcow2"}, in: "2.qcow2"},
		{files: []string{"a/1.qcow2"}, named: "gone"},
		{},
	} {
		a := &packer.MockArtifact{FilesValue: tc.files, StateValues: map[string]any{"diskName": tc.named}}
		got, err := Disk(a, tc.in)
		var wrong *option.Error
		if got != tc.want || (err == nil) != (tc.want != "") || err != nil && (!errors.As(err, &wrong) || wrong.Option != "in") {
			t.Errorf("%q: got %q, %v", tc.files, got, err)
		}
	}
}
