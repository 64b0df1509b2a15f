package bootentry_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
)

// What may decide the entry and is not followed is named; what grub-mkconfig
// writes for every system is not.
func TestDoubts(t *testing.T) {
	const (
		linux  = "menuentry 'Linux' {\nlinux /boot/vmlinuz root=/dev/vda1\ninitrd /boot/initrd\n}\n"
		custom = "if [ -f ${config_directory}/custom.cfg ]; then\nsource ${config_directory}/custom.cfg\nelif [ -z \"${config_directory}\" -a -f $prefix/custom.cfg ]; then\nsource $prefix/custom.cfg\nfi\n"
	)
	for name, test := range map[string]struct {
		script string
		files  []string
		want   []string
	}{
		"nothing":               {script: "set default=0\n" + linux},
		"custom.cfg not there":  {script: linux + custom},
		"custom.cfg":            {linux + custom, []string{"boot/grub/custom.cfg"}, []string{`source "/boot/grub/custom.cfg"`}},
		"condition elsewhere":   {"if [ -f /.snapshots/grub.cfg.more ]; then\n. /.snapshots/grub.cfg.more\nfi\n" + linux, []string{".snapshots/grub.cfg.more"}, []string{`source "/.snapshots/grub.cfg.more"`}},
		"source":                {"source /boot/grub/other.cfg\n" + linux, nil, []string{`source "/boot/grub/other.cfg"`}},
		"configfile":            {linux + "configfile ($root)/x.cfg\n", nil, []string{`configfile "()/x.cfg"`}},
		"eval":                  {"eval \"set default=1\"\n" + linux, nil, []string{`eval "set default=1"`}},
		"for":                   {"for k in a b; do\nset default=$k\ndone\n" + linux, nil, []string{"a loop"}},
		"while in an entry":     {"menuentry Linux {\nlinux /vmlinuz\nwhile true; do\nlinux /other\ndone\n}\n", nil, []string{"a loop"}},
		"function of an entry":  {"function go {\nlinux /other\ninitrd /other\n}\nmenuentry Linux {\nlinux /vmlinuz\ngo\n}\n", nil, []string{"a function, or a command outside of entries, that loads a kernel"}},
		"kernel without entry":  {linux + "linux /other\n", nil, []string{"a function, or a command outside of entries, that loads a kernel"}},
		"function with entries": {"function add {\n" + linux + "}\nadd\n", nil, []string{"a function that makes entries"}},
		"function with default": {"function d {\nset default=1\n}\nd\n" + linux, nil, []string{"a function that sets the default"}},
		"other functions":       {script: "function savedefault {\nsaved_entry=x\nsave_env saved_entry\n}\nfunction load_video {\ninsmod all_video\n}\n" + strings.Replace(linux, "{\n", "{\nload_video\nsavedefault\n", 1)},
		"default elsewhere":     {"set default=chain\n" + linux + "menuentry Other --id chain {\nconfigfile /x.cfg\n}\n", nil, []string{"a default that boots no Linux"}},
		"first one elsewhere":   {"menuentry Memtest {\nchainloader /memtest\n}\n" + linux, nil, []string{"a default that boots no Linux"}},
		"another one elsewhere": {script: linux + "menuentry Other {\nconfigfile /x.cfg\n}\n"},
		"Debian's own":          {script: debianMenu(t), files: []string{"boot/grub/other.cfg"}},
	} {
		root := fstest.MapFS{"boot/grub/grub.cfg": {Data: []byte(test.script)}}
		for _, f := range test.files {
			root[f] = &fstest.MapFile{}
		}
		entries, err := bootentry.Read(root, nil, nil)
		if err != nil || len(entries) == 0 || !slices.Equal(entries[0].Doubts, test.want) {
			t.Errorf("%s: %+v, %v", name, entries, err)
		}
	}
}
