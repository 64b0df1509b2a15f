package bootentry_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
)

// Each of these menus would keep a parser busy for hours, or fill the memory,
// if its work grew with the square of what it reads.
func TestMenusThatMakeWork(t *testing.T) {
	const size = 2 << 20
	fill := func(s string) string { return strings.Repeat(s, (size-1000)/len(s)) }
	const entry = "\nmenuentry A { linux /vmlinuz ro }\n"
	for name, test := range map[string]struct {
		script string
		want   error
	}{
		"one long word":      {"echo " + fill("a") + entry, bootentry.ErrMalformed},
		"one long quote":     {`echo "` + fill("a") + `"` + entry, bootentry.ErrMalformed},
		"escapes":            {"echo " + fill(`\a`) + entry, bootentry.ErrMalformed},
		"comments":           {fill("#\n") + entry, nil},
		"braces without end": {"echo " + fill("${") + entry, bootentry.ErrMalformed},
		"blocks on one line": {"if false; then\n" + fill("x { a }\n") + "fi" + entry, nil},
		"long tests":         {"set a='" + strings.Repeat("! ", 30000) + "'\n" + strings.Repeat("[ $a ]\n", 90000) + entry, bootentry.ErrMalformed},
		"long command lines": {"set a='" + strings.Repeat("b", 60000) + " c'\nmenuentry A { linux /vmlinuz " + strings.Repeat("$a ", 60000) + "}\n", bootentry.ErrMalformed},
		"long titles":        {"submenu " + strings.Repeat("b", 60000) + " {" + entry + "}\n", bootentry.ErrMalformed},
	} {
		if len(test.script) > size {
			t.Fatalf("%s: %d bytes", name, len(test.script))
		}
		entries, err := bootentry.Read(fstest.MapFS{"boot/grub/grub.cfg": file(test.script)}, nil, nil)
		if !errors.Is(err, test.want) || err == nil && len(entries) == 0 {
			t.Errorf("%s: %d entries, %v", name, len(entries), err)
		}
	}
}

// A variable's value may be long and come often.
func TestLongEntriesOfBLS(t *testing.T) {
	root := fstest.MapFS{
		"boot/grub/grub.cfg":         file("set a=" + strings.Repeat("b", 60000) + "\nblscfg\n"),
		"boot/loader/entries/1.conf": file("linux /vmlinuz\noptions " + strings.Repeat("$a ", 20000) + "\n"),
	}
	if _, err := bootentry.Read(root, nil, nil); !errors.Is(err, bootentry.ErrMalformed) {
		t.Errorf("in one line: %v", err)
	}
	root["boot/loader/entries/1.conf"] = file("linux /vmlinuz\n" + strings.Repeat("options $a\n", 5000))
	if _, err := bootentry.Read(root, nil, nil); !errors.Is(err, bootentry.ErrMalformed) {
		t.Errorf("in many lines: %v", err)
	}
}
