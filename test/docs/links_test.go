package docs_test

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// page is a page in Markdown as GitHub shows it.
type page struct {
	links   []string
	anchors map[string]bool
}

// parsePage takes links and headings out of a page, outside of code.
func parsePage(text string) page {
	p := page{anchors: map[string]bool{}}
	text = regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(text, "")
	for _, heading := range regexp.MustCompile(`(?m)^#{1,6} +(.*?) *#*$`).FindAllStringSubmatch(text, -1) {
		slug := slugOf(heading[1])
		for i, unique := 1, slug; p.anchors[slug]; i++ {
			slug = fmt.Sprintf("%s-%d", unique, i)
		}
		p.anchors[slug] = true
	}
	for _, anchor := range regexp.MustCompile(`<a (?:id|name)="([^"]+)"`).FindAllStringSubmatch(text, -1) {
		p.anchors[anchor[1]] = true
	}
	text = regexp.MustCompile("`[^`\n]*`").ReplaceAllString(text, "`code`")
	for _, pattern := range []string{
		`\]\(\s*<?([^)>\s]*)>?(?:\s+"[^"]*")?\s*\)`, // [text](link "title"), ![picture](link)
		`(?m)^ {0,3}\[[^\]]+\]: +(\S+)`,             // [name]: link
		`(?:href|src|srcset)="([^"]*)"`,
		`<(https?://[^>]*)>`,
	} {
		for _, link := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			p.links = append(p.links, link[1])
		}
	}
	return p
}

// slugOf returns the anchor that GitHub gives a heading.
func slugOf(heading string) string {
	heading = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(heading, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// checkLink says what is wrong with a link on the page at from, a path below root.
func checkLink(from, link string, anchors func(path string) map[string]bool) error {
	u, err := url.Parse(link)
	switch {
	case err != nil:
		return err
	case u.Scheme == "https" && strings.Contains(u.Host, ".") && u.User == nil:
		return nil
	case u.Scheme != "" || u.Host != "" || u.RawQuery != "":
		return fmt.Errorf("neither https nor a file here")
	}
	target := path.Join(path.Dir(from), u.Path)
	if component, ok := strings.CutPrefix(u.Path, "/packer/integrations/"); ok {
		// Pages of the Packer plugin are shown on Packer's site.
		name, ours := strings.CutPrefix(component, "snpguard-go/snpguard/latest/")
		if !ours {
			return nil
		}
		target = path.Join(".web-docs", name)
	} else if u.Path == "" {
		target = from
	}
	if strings.HasPrefix(target, "../") {
		return fmt.Errorf("leads out of the repository")
	}
	if _, err := os.Stat(filepath.Join(root, target)); err != nil {
		return fmt.Errorf("no such file")
	}
	if u.Fragment != "" && !anchors(target)[u.Fragment] {
		return fmt.Errorf("no heading %q", u.Fragment)
	}
	return nil
}

// readPages returns all pages by their path below root.
func readPages(t *testing.T) map[string]page {
	t.Helper()
	pages := map[string]page{}
	for _, suffix := range []string{".md", ".mdx"} {
		for file, text := range readAll(t, suffix) {
			name, err := filepath.Rel(root, file)
			if err != nil {
				t.Fatal(err)
			}
			pages[filepath.ToSlash(name)] = parsePage(text)
		}
	}
	return pages
}

// TestLinks wants every link to lead somewhere. What is elsewhere is not asked.
func TestLinks(t *testing.T) {
	pages := readPages(t)
	links := 0
	for name, p := range pages {
		for _, link := range p.links {
			links++
			if err := checkLink(name, link, func(path string) map[string]bool { return pages[path].anchors }); err != nil {
				t.Errorf("%s: link to %s: %v", name, link, err)
			}
		}
	}
	if links == 0 {
		t.Errorf("only %d links found", links)
	}
}

// TestEveryPageIsReached wants a way from README.md to every page in docs.
func TestEveryPageIsReached(t *testing.T) {
	pages := readPages(t)
	reached, waiting := map[string]bool{}, []string{"README.md"}
	for len(waiting) > 0 {
		from := waiting[0]
		waiting = waiting[1:]
		for _, link := range pages[from].links {
			link, _, _ = strings.Cut(link, "#")
			if to := path.Join(path.Dir(from), link); strings.HasSuffix(to, ".md") && !reached[to] {
				reached[to] = true
				waiting = append(waiting, to)
			}
		}
	}
	for name := range pages {
		if path.Dir(name) == "docs" && !reached[name] {
			t.Errorf("no way leads from README.md to %s", name)
		}
	}
}

// TestNamedPagesExist wants every file of docs that code, help or another page
// names to exist.
func TestNamedPagesExist(t *testing.T) {
	named := regexp.MustCompile(`\bdocs/[\w/.-]+\.(?:md|mdx|json|png|ya?ml)\b`)
	for _, suffix := range []string{".go", ".md", ".mdx", ".html", ".txtar", ".hcl", ".yml", ".yaml", ".service", "Makefile", "Dockerfile"} {
		for file, text := range readAll(t, suffix) {
			for _, name := range named.FindAllString(text, -1) {
				if _, err := os.Stat(filepath.Join(root, name)); err != nil {
					t.Errorf("%s names %s, which does not exist", file, name)
				}
			}
		}
	}
}

// TestDeadLinksAreFound shows links that checkLink has to refuse, and such that it
// has to take.
func TestDeadLinksAreFound(t *testing.T) {
	p := parsePage("# A `b`, c/d: e_f\n\n## Twice\n\n## Twice\n\n[x](gone.md) ![y](pic.png \"t\")\n\n```\n# none\n[z](no.md)\n```\n\n`[w](no.md)`\n")
	for _, anchor := range []string{"a-b-cd-e_f", "twice", "twice-1"} {
		if !p.anchors[anchor] {
			t.Errorf("no anchor %s in %v", anchor, p.anchors)
		}
	}
	if len(p.anchors) != 3 || strings.Join(p.links, " ") != "gone.md pic.png" {
		t.Errorf("got %v", p)
	}
	for link, dead := range map[string]bool{
		"api.md": false, "api.md#twice": false, "#twice": false, "../example": false, "https://example.org/a?b#c": false,
		"/packer/integrations/snpguard-go/snpguard/latest/components/builder/snpguard": false, "/packer/integrations/hashicorp/qemu": false,
		"gone.md": true, "api.md#gone": true, "#gone": true, "../../go.mod": true, "http://example.org": true, "https://": true,
		"https://exa mple.org": true, "/packer/integrations/snpguard-go/snpguard/latest/components/builder/gone": true, "mailto:a@example.org": true,
	} {
		if err := checkLink("docs/api.md", link, func(string) map[string]bool { return p.anchors }); (err != nil) != dead {
			t.Errorf("%s: got %v", link, err)
		}
	}
}
