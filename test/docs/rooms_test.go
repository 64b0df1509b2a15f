package docs_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/snpguard-go/packer-plugin-snpguard"

// floors are the rooms of a table by the number of their row, such as
// "internal/wire/" or "main.go".
type floors map[string]int

// readFloors returns every table of a page whose first row has want as the heading
// of its column of rooms, which is column number i. A room without a directory is
// taken beside the first one of its cell.
func readFloors(t *testing.T, name, want string, i int) []floors {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	var tables []floors
	inside, row := false, 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		switch {
		case !strings.HasPrefix(line, "|"):
			inside = false
		case strings.TrimSpace(cells[i+1]) == want:
			tables, inside, row = append(tables, floors{}), true, 0
		case inside:
			row++
			first := ""
			for _, room := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[i+1], -1) {
				name := room[1]
				if first == "" {
					first = path.Dir(strings.TrimSuffix(name, "/"))
				} else if _, err := os.Stat(filepath.Join(root, name)); err != nil {
					name = path.Join(first, name) + "/"
				}
				tables[len(tables)-1][name] = row
			}
		}
	}
	if len(tables) == 0 {
		t.Fatalf("%s has no table of rooms", name)
	}
	return tables
}

// room returns the narrowest room that a package directory is in, or "".
func (f floors) room(dir string) string {
	found := ""
	for room := range f {
		if strings.HasPrefix(dir+"/", room) && len(room) > len(found) || dir == "." && room == "main.go" {
			found = room
		}
	}
	return found
}

// packages returns every directory with Go files below root, whatever their tags.
func packages(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for file := range readAll(t, ".go") {
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, filepath.ToSlash(dir))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// TestEveryPackageHasARoom wants every package in the house's table and on one of
// the floors, and every room named there to exist.
func TestEveryPackageHasARoom(t *testing.T) {
	house := readFloors(t, "CONTRIBUTING.md", "room", 0)[0]
	tables := readFloors(t, "docs/architecture.md", "rooms", 1)
	for _, dir := range packages(t) {
		for name, table := range map[string]floors{"CONTRIBUTING.md": house, "docs/architecture.md": tables[0]} {
			if table.room(dir) == "" {
				t.Errorf("%s has no room for %s", name, dir)
			}
		}
		if strings.HasPrefix(dir, "service") && tables[1].room(dir) == "service/" && dir != "service" {
			t.Errorf("docs/architecture.md has no floor in the service for %s", dir)
		}
	}
	for _, table := range append(tables, house) {
		for room := range table {
			if info, err := os.Stat(filepath.Join(root, room)); err != nil || info.IsDir() != strings.HasSuffix(room, "/") {
				t.Errorf("there is no room %s: %v", room, err)
			}
		}
	}
	if len(tables) != 2 || len(tables[0]) < 40 || len(house) < 60 {
		t.Errorf("%d tables of floors with %d rooms, %d in the house", len(tables), len(tables[0]), len(house))
	}
}

// TestImportsPointDown compares the floors of docs/architecture.md with what
// packages import: what is below or beside them. Tests may import what they like.
func TestImportsPointDown(t *testing.T) {
	tables := readFloors(t, "docs/architecture.md", "rooms", 1)
	command := exec.CommandContext(t.Context(), "go", "list", "-tags=sim", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	edges := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		for _, imported := range words[1:] {
			to, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			from := path.Clean("./" + strings.TrimPrefix(words[0], module))
			from = strings.TrimPrefix(from, "/")
			for _, table := range tables {
				upper, lower := table.room(from), table.room(to)
				if upper == "" || lower == "" {
					continue
				}
				edges++
				if table[upper] > table[lower] {
					t.Errorf("%s imports %s, which is on a floor above", from, to)
				}
			}
		}
	}
	if edges < 150 {
		t.Errorf("only %d imports seen", edges)
	}
}

// TestFigureNamesRooms wants what the figure of rooms names to exist.
func TestFigureNamesRooms(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, figure, _ := strings.Cut(string(text), "## Rooms")
	figure = strings.Split(figure, "```")[1]
	dirs := strings.Split(strings.Join(packages(t), "/"), "/")
	prose := strings.Fields("main go a simulated AMD programs shared whole works one matter each formats")
	names := regexp.MustCompile(`[a-zA-Z][\w-]*`).FindAllString(figure, -1)
	for _, name := range names {
		if !slices.Contains(dirs, name) && !slices.Contains(prose, name) {
			t.Errorf("the figure names %s, which is no room", name)
		}
	}
	if len(names) < 40 {
		t.Errorf("only %d names in the figure", len(names))
	}
}
