package ext4_test

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// askNumber asks debugfs for a block number.
func askNumber(t *testing.T, image, question string) int {
	t.Helper()
	command, pattern := question, `(?m)^(\d+)$`
	switch question {
	case "imap /small":
		pattern = `located at block (\d+)`
	case "extents /fragments":
		command, pattern = "stat /fragments", `\(ETB\d\):(\d+)`
	case "file_acl":
		command, pattern = "stat /small", `File ACL: (\d+)`
	case "bitmap":
		command, pattern = "stats", `block bitmap at (\d+)`
	}
	return ask(t, image, command, pattern, 10)
}

// askOffset asks where in its block an inode is.
func askOffset(t *testing.T, image, path string) int {
	t.Helper()
	return ask(t, image, "imap "+path, `offset 0x([0-9a-f]+)`, 16)
}

func ask(t *testing.T, image, command, pattern string, base int) int {
	t.Helper()
	out := rootfstest.Run(t, "debugfs", []string{"-R", command, image})
	found := regexp.MustCompile(pattern).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("debugfs %s: %s", command, out)
	}
	n, err := strconv.ParseInt(found[1], base, 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}
