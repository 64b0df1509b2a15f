// Packer-plugin-snpguard is the Packer plugin: it registers the components, nothing
// else.
package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/packer-plugin-sdk/plugin"
	pluginversion "github.com/hashicorp/packer-plugin-sdk/version"

	"github.com/snpguard-go/packer-plugin-snpguard/builder/snpguard"
	"github.com/snpguard-go/packer-plugin-snpguard/datasource/image"
	"github.com/snpguard-go/packer-plugin-snpguard/datasource/instance"
	"github.com/snpguard-go/packer-plugin-snpguard/datasource/service"
	"github.com/snpguard-go/packer-plugin-snpguard/post-processor/convert"
	"github.com/snpguard-go/packer-plugin-snpguard/post-processor/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/post-processor/register"
	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

func main() {
	set := plugin.NewSet()
	set.SetVersion(pluginversion.NewPluginVersion(version.Number, version.Prerelease, ""))
	set.RegisterBuilder(plugin.DEFAULT_NAME, new(snpguard.Builder))
	set.RegisterPostProcessor("convert", new(convert.PostProcessor))
	set.RegisterPostProcessor("register", new(register.PostProcessor))
	set.RegisterPostProcessor("embed", new(embed.PostProcessor))
	set.RegisterDatasource("service", new(service.Datasource))
	set.RegisterDatasource("image", new(image.Datasource))
	set.RegisterDatasource("instance", new(instance.Datasource))
	if err := set.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
