package register_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/register"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

const imageID = "11111111-2222-4333-8444-555555555555"

func good() register.Config {
	return register.Config{Name: "web", VCPUs: []int{1, 2}, VCPUTypes: []string{"EPYC-Milan"}}
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

func TestCheck(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(broken, []byte(`{"version": 1, "colour": "blue"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(*register.Config)
		want   []option.Name
	}{
		{"nothing", func(*register.Config) {}, nil},
		{"a disabled release", func(c *register.Config) { c.AddRelease, c.Disabled = true, true }, []option.Name{"disabled"}},
		{"named instances", func(c *register.Config) { c.Instances = "named" }, nil},
		{"auto instances", func(c *register.Config) { c.Instances, c.InstanceLimit = "auto", 100_000 }, nil},
		{"auto without a limit", func(c *register.Config) { c.Instances = "auto" }, []option.Name{"instance_limit"}},
		{"too many instances", func(c *register.Config) { c.Instances, c.InstanceLimit = "auto", 100_001 }, []option.Name{"instance_limit"}},
		{"limit of named instances", func(c *register.Config) { c.Instances, c.InstanceLimit = "named", 1 }, []option.Name{"instance_limit"}},
		{"limit of no instances", func(c *register.Config) { c.InstanceLimit = 1 }, []option.Name{"instance_limit"}},
		{"another word", func(c *register.Config) { c.Instances = "all" }, []option.Name{"instances"}},
		{"instances of a release", func(c *register.Config) { c.Instances, c.AddRelease = "named", true }, []option.Name{"instances"}},
		{"release needs no name", func(c *register.Config) { c.Name, c.AddRelease = "", true }, nil},
		{"all of it", func(c *register.Config) {
			c.GuestPolicy, c.ImageID, c.TCBFloors = "abi=0.31,smt", imageID, []string{"Milan:bootloader=4,tee=0,snp=24,microcode=217"}
		}, nil},
		{"empty", func(c *register.Config) { *c = register.Config{} }, []option.Name{"image_name", "vcpus", "vcpu_types"}},
		{"sizes", func(c *register.Config) { c.VCPUs, c.VCPUTypes = []int{0, 4097}, []string{"EPYC-Rome-Sweet"} }, []option.Name{"vcpus", "vcpus", "vcpu_types"}},
		{"image ID", func(c *register.Config) { c.ImageID = "web" }, []option.Name{"image_id"}},
		{"guest policy", func(c *register.Config) { c.GuestPolicy = "magic" }, []option.Name{"guest_policy"}},
		{"guest policy without its bit", func(c *register.Config) { c.GuestPolicy = "0" }, []option.Name{"guest_policy"}},
		{"policy and products", func(c *register.Config) { c.Policy, c.Products = "x", []string{"Genoa"} }, []option.Name{"policy"}},
		{"unknown product", func(c *register.Config) { c.Products = []string{"Rome"} }, []option.Name{"products"}},
		{"Venice", func(c *register.Config) { c.Products = []string{"Venice"} }, []option.Name{"products"}},
		{"no floors and floors", func(c *register.Config) {
			c.TCBFloors = []string{"none", "Genoa:bootloader=10,tee=0,snp=23,microcode=84"}
		}, []option.Name{"tcb_floors"}},
		{"policy and floors", func(c *register.Config) { c.Policy, c.TCBFloors = "x", []string{"y"} }, []option.Name{"policy"}},
		{"no policy", func(c *register.Config) { c.Policy = "/nonexistent" }, []option.Name{"policy"}},
		{"broken policy", func(c *register.Config) { c.Policy = broken }, []option.Name{"policy"}},
		{"part of a floor", func(c *register.Config) { c.TCBFloors = []string{"Milan:snp=1"} }, []option.Name{"tcb_floors"}},
		{"floor of nothing", func(c *register.Config) { c.TCBFloors = []string{"Rome:snp=1"} }, []option.Name{"tcb_floors"}},
		{"two floors", func(c *register.Config) {
			c.TCBFloors = slices.Repeat([]string{"Milan:bootloader=4,tee=0,snp=24,microcode=217"}, 2)
		}, []option.Name{"tcb_floors"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := good()
			tc.change(&c)
			if got := wrongOptions(t, c.Check()); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// staged makes a staging directory.
func staged(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		staging.NameFirmware: "firmware", staging.NameKernel: "kernel", staging.NameInitrd: "initrd", staging.NameCmdline: "cmdline",
		staging.NameUnsealingKey: "key", staging.NameConversion: `{"format": 1, "image_id": "` + imageID + `"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestDefaultGuestPolicy holds the default, which is a tag, against the ID block's.
func TestDefaultGuestPolicy(t *testing.T) {
	var c register.Config
	option.SetDefaults(&c)
	if got, err := idblock.ParseGuestPolicy(c.GuestPolicy); err != nil || got != idblock.DefaultPolicy {
		t.Errorf("got %s, %v", c.GuestPolicy, err)
	}
}

func TestRequest(t *testing.T) {
	c := good()
	c.Staging = staged(t)
	r, err := c.Request()
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, u := range r.Uploads {
		parts = append(parts, u.Part)
	}
	if got := strings.Join(parts, " "); got != "firmware kernel initrd cmdline unsealing_key" || r.Size != int64(len("firmware"+"kernel"+"initrd"+"cmdline"+"key")) {
		t.Errorf("uploads are %s of %d bytes", got, r.Size)
	}
	if r.Registration.ImageID.String() != imageID || r.Registration.Name != "web" || r.Registration.Policy != nil || r.Further {
		t.Errorf("got %+v", r)
	}
}

// TestFurtherRequest leaves the unsealing key out, which the service has, unless it is
// given.
func TestFurtherRequest(t *testing.T) {
	c := good()
	c.Staging, c.AddRelease, c.Name = staged(t), true, ""
	key := filepath.Join(c.Staging, staging.NameUnsealingKey)
	for want, given := range map[int]string{4: "", 5: key} {
		c.UnsealingKey = given
		r, err := c.Request()
		if err != nil || len(r.Uploads) != want || !r.Further {
			t.Errorf("%q: got %+v, %v", given, r, err)
		}
	}
}

// A disk image is measured nowhere: nothing is sent.
func TestContainersAreNotSent(t *testing.T) {
	for name, wrong := range map[string]option.Name{staging.NameFirmware: "firmware", staging.NameKernel: "kernel", staging.NameInitrd: "initrd"} {
		c := good()
		c.Staging = staged(t)
		if err := os.WriteFile(filepath.Join(c.Staging, name), []byte("QFI\xfb\x00\x00\x00\x03"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Request(); !slices.Equal(wrongOptions(t, err), []option.Name{wrong}) || !strings.Contains(err.Error(), "it is a qcow2 file") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRequestRefused(t *testing.T) {
	c := good()
	if _, err := c.Request(); !slices.Equal(wrongOptions(t, err), []option.Name{"staging"}) {
		t.Errorf("no staging directory: %v", err)
	}
	c.ImageID = imageID
	if _, err := c.Request(); !slices.Equal(wrongOptions(t, err), []option.Name{"firmware"}) {
		t.Errorf("no firmware: %v", err)
	}
	c = good()
	c.Staging = t.TempDir()
	if _, err := c.Request(); !errors.Is(err, staging.ErrStaging) {
		t.Errorf("an empty directory: %v", err)
	}
	c.Staging = staged(t)
	if err := os.Remove(filepath.Join(c.Staging, staging.NameKernel)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Request(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no kernel: %v", err)
	}
}

// TestWarnings reads the policy that a service has put in force.
func TestWarnings(t *testing.T) {
	got, err := register.Warnings([]byte(`{"version":1,"products":["Milan","Genoa"],"signing_keys":["VCEK"],"tcb_floors":"none"}`))
	if err != nil || len(got) != 2 || !strings.Contains(got[0], "Milan may unlock") {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := register.Warnings([]byte(`{"version":1,"products":["Turin"]}`)); err != nil || got != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := register.Warnings([]byte(`{"version":2}`)); err == nil {
		t.Error("a policy that nobody understands has no warnings")
	}
}

// TestPolicyOfOptions wants products and floors of options in the policy that is sent.
func TestPolicyOfOptions(t *testing.T) {
	c := good()
	c.Staging, c.Products, c.TCBFloors = "", []string{"Genoa", "Turin"}, []string{"none"}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.ImageID, c.Firmware, c.Kernel, c.Initrd, c.CmdlineFile, c.UnsealingKey = imageID, file, file, file, file, file
	request, err := c.Request()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(request.Registration.Policy); got != `{"version":1,"products":["Genoa","Turin"],"tcb_floors":"none"}` {
		t.Errorf("got %s", got)
	}
}
