//go:build e2e

// Packer-plugin-qemu stands in for HashiCorp's plugin of that name in tests: its
// builder takes the attributes that the example uses, starts no virtual machine
// and gives what the qemu builder gives, a disk image in its output directory that
// the artifact names.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/plugin"
	"github.com/hashicorp/packer-plugin-sdk/version"
	"github.com/zclconf/go-cty/cty"
)

func main() {
	set := plugin.NewSet()
	set.SetVersion(version.NewPluginVersion("1.1.0", "", ""))
	set.RegisterBuilder(plugin.DEFAULT_NAME, new(builder))
	if err := set.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type builder struct{ source, directory, name string }

func (b *builder) ConfigSpec() hcldec.ObjectSpec {
	spec := hcldec.ObjectSpec{}
	for name, kind := range map[string]cty.Type{
		"iso_url": cty.String, "iso_checksum": cty.String, "disk_image": cty.Bool, "format": cty.String, "headless": cty.Bool,
		"output_directory": cty.String, "vm_name": cty.String, "cd_label": cty.String, "cd_content": cty.Map(cty.String),
		"ssh_username": cty.String, "ssh_private_key_file": cty.String, "shutdown_command": cty.String, "communicator": cty.String,
	} {
		spec[name] = &hcldec.AttrSpec{Name: name, Type: kind}
	}
	return spec
}

func (b *builder) Prepare(raws ...any) (generated, warnings []string, err error) {
	for _, raw := range raws {
		if v, ok := raw.(cty.Value); ok {
			b.source, b.directory, b.name = text(v, "iso_url"), text(v, "output_directory"), text(v, "vm_name")
		}
	}
	return nil, nil, nil
}

func text(v cty.Value, name string) string {
	if a := v.GetAttr(name); !a.IsNull() {
		return a.AsString()
	}
	return ""
}

func (b *builder) Run(context.Context, packer.Ui, packer.Hook) (packer.Artifact, error) {
	a := &artifact{dir: b.directory, name: b.name}
	if err := os.MkdirAll(a.dir, 0o755); err != nil {
		return nil, err
	}
	// The real one has more files than the disk.
	if err := os.WriteFile(filepath.Join(a.dir, "efivars.fd"), nil, 0o644); err != nil {
		return nil, err
	}
	in, err := os.Open(b.source)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(a.dir, a.name))
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(out, in); err != nil {
		return nil, err
	}
	return a, out.Close()
}

type artifact struct{ dir, name string }

func (a *artifact) BuilderId() string { return "transcend.qemu" } //nolint:revive // the SDK's name
func (a *artifact) Id() string        { return "VM" }             //nolint:revive // the SDK's name
func (a *artifact) String() string    { return "VM files in directory: " + a.dir }
func (a *artifact) Destroy() error    { return os.RemoveAll(a.dir) }

func (a *artifact) Files() []string {
	return []string{filepath.Join(a.dir, "efivars.fd"), filepath.Join(a.dir, a.name)}
}

func (a *artifact) State(name string) any {
	if name == "diskName" {
		return a.name
	}
	return nil
}
