package rootfstest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// OddNames are names that programs trip over.
func OddNames() []string {
	return []string{
		"with space", " leading", "trailing ", "-dash", "--help", "#hash", "!id", "<12>", "<2>", "?offset=1", "*", "$HOME", "`id`",
		`double"quote`, `""`, `"`, "single'quote", `back\slash`, "tab\there", "semi;colon", "pipe|", "\xff\xfe not UTF-8", "ünï", "\x01\x02",
		strings.Repeat("n", 255), strings.Repeat("\"", 255), "...", "..a", ".hidden",
	}
}

// Tree makes a directory with about every kind of file that needs no root
// rights, for mke2fs -d.
func Tree(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	check := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	write := func(name string, data []byte) {
		tb.Helper()
		path := filepath.Join(dir, name)
		check(os.MkdirAll(filepath.Dir(path), 0o755))
		check(os.WriteFile(path, data, 0o644))
	}
	write("empty", nil)
	write("small", []byte("hello"))
	for _, size := range []int{59, 60, 61, 100, 156, 160, 1023, 1024, 1025, 4096, 65536, 1<<20 + 1} {
		write(fmt.Sprintf("sizes/%d", size), pattern(size))
	}
	deep := strings.Repeat("d/", 60)
	write(deep+"bottom", []byte("deep"))
	for i := range 500 {
		write(fmt.Sprintf("wide/%s%d", strings.Repeat("long name ", i%20), i), nil)
	}
	for _, name := range append(OddNames(), "line\nbreak", "return\rhere") {
		write("odd/"+name, []byte(name))
	}
	sparse(tb, filepath.Join(dir, "sparse"), 68<<20, 0, 13<<10, 300<<10, 5<<20, 67<<20, 68<<20-5)
	sparse(tb, filepath.Join(dir, "hole"), 3<<20)
	var spots []int64
	for i := range int64(1500) {
		spots = append(spots, i*8<<10)
	}
	sparse(tb, filepath.Join(dir, "fragments"), 16<<20, spots...)
	links := map[string]string{
		"links/short": "../small", "links/absolute": "/small", "links/outside": "../../../../../small", "links/dir": "../sizes",
		"links/loop": "loop", "links/ping": "pong", "links/pong": "ping", "links/dangling": "/nothing/here",
		"links/59": "/" + strings.Repeat("./", 26) + "/small", "links/60": "//" + strings.Repeat("./", 26) + "/small",
		"links/long": strings.Repeat("../", 200) + "links/absolute", "links/slash": "/sizes/", "links/through": "dir/59",
		"links/up": "/links/dir/../small",
	}
	check(os.MkdirAll(filepath.Join(dir, "links"), 0o755))
	for name, target := range links {
		check(os.Symlink(target, filepath.Join(dir, name)))
	}
	check(os.Link(filepath.Join(dir, "small"), filepath.Join(dir, "links/hard")))
	check(os.Link(filepath.Join(dir, "small"), filepath.Join(dir, "links/hard2")))
	check(os.Chmod(filepath.Join(dir, "small"), 0o4751|os.ModeSetuid))
	check(os.Chmod(filepath.Join(dir, "sizes"), 0o750|os.ModeSetgid|os.ModeSticky))
	check(os.Chtimes(filepath.Join(dir, "small"), time.Unix(1_000_000_000, 0), time.Unix(1_234_567_890, 123_456_789)))
	return dir
}

// pattern is data that differs from block to block.
func pattern(size int) []byte {
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "%08d ", b.Len())
	}
	return b.Bytes()[:size]
}

// sparse makes a file with a few bytes at some offsets and holes elsewhere.
func sparse(tb testing.TB, path string, size int64, offsets ...int64) {
	tb.Helper()
	file, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		tb.Fatal(err)
	}
	for _, offset := range offsets {
		if _, err := file.WriteAt([]byte("data!"), offset); err != nil {
			tb.Fatal(err)
		}
	}
}
