package conversion

import (
	"context"
	"os"
	"path/filepath"

	"github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// Converter is convert.Convert.
type Converter func(context.Context, *convert.Options) (*staging.Conversion, error)

// Run converts an image. After a failure nothing is left of it, unless working
// files are to be kept; what was there before still is.
func (c *Config) Run(ctx context.Context, ui packer.Ui, source string, force bool, converter Converter) (*Artifact, error) {
	o, err := convert.NewOptions(ctx, &c.Config, &c.Service)
	if err != nil {
		return nil, err
	}
	o.Input, o.Output, o.Staging, o.Replace = source, filepath.Join(c.OutputDirectory, c.VMName), c.Staging, force
	if c.Interactive {
		o.Choose = chooser(ui)
	}
	made, err := makeDirs(filepath.Dir(o.Output), filepath.Dir(o.Staging))
	if err != nil {
		return nil, err
	}
	shown := &events{ui: ui}
	o.Events = shown
	conversion, err := converter(ctx, o)
	shown.finish()
	if err != nil {
		for _, dir := range made {
			os.Remove(dir) //nolint:errcheck // it stays when there is something in it
		}
		return nil, option.Spell(err, spelling)
	}
	return newArtifact(o, conversion), nil
}

// makeDirs makes directories with their parents and returns those that were not
// there, the deepest first.
func makeDirs(dirs ...string) (made []string, err error) {
	for _, dir := range dirs {
		var missing []string
		for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
			if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
				break
			}
			missing = append(missing, d)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, option.Wrap("output_directory", err)
		}
		made = append(missing, made...)
	}
	return made, nil
}
