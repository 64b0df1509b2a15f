package harden

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// unitDirs are where systemd reads units, first wins (systemd.unit(5)).
var unitDirs = []string{
	"etc/systemd/system.control", "etc/systemd/system", "usr/local/lib/systemd/system",
	"usr/lib/systemd/system", "lib/systemd/system",
}

// setting is a line of a unit or of systemd's own configuration.
type setting struct {
	section, key, value string
	file                string
}

// unit returns what systemd reads for a unit: its file, then the drop-ins in the
// order of their names. Aliases are further names whose drop-ins count too.
func (r *reader) unit(name string, aliases ...string) (all []setting) {
	if file, ok := active(r, name); ok {
		all = r.settings(file)
	}
	var dirs []string
	for _, dir := range unitDirs {
		for _, n := range append([]string{name}, aliases...) {
			for _, d := range dropInDirs(n) {
				dirs = append(dirs, path.Join(dir, d))
			}
		}
	}
	return append(all, r.dropIns(dirs)...)
}

// dropIns returns the settings of the files NAME.conf of directories, in the
// order of their names. Of two with one name that of the first directory counts.
func (r *reader) dropIns(dirs []string) (all []setting) {
	files := map[string]string{}
	var names []string
	for _, dir := range dirs {
		for _, file := range r.list(dir, ".conf") {
			name := path.Base(file)
			if _, ok := files[name]; !ok {
				files[name] = file
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		all = append(all, r.settings(files[name])...)
	}
	return all
}

// dropInDirs lists the directories of a unit's drop-ins: its own, its template's,
// those of its dashes, and that of its type.
func dropInDirs(name string) []string {
	dirs := []string{name + ".d"}
	base, kind, _ := cutLast(name, ".")
	if template, _, ok := strings.Cut(base, "@"); ok && !strings.HasSuffix(base, "@") {
		dirs = append(dirs, template+"@."+kind+".d")
	}
	for head, _, ok := cutLast(base, "-"); ok; head, _, ok = cutLast(head, "-") {
		dirs = append(dirs, head+"-."+kind+".d")
	}
	return append(dirs, kind+".d")
}

func cutLast(s, separator string) (before, after string, found bool) {
	at := strings.LastIndex(s, separator)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(separator):], true
}

// settings reads a file of systemd.syntax(7). A backslash at a line's end goes on
// in the next line, across comments.
func (r *reader) settings(file string) (all []setting) {
	section, begun := "", ""
	for line := range strings.Lines(r.text(file)) {
		line = strings.TrimSpace(line)
		if line != "" && (line[0] == '#' || line[0] == ';') {
			continue
		}
		if head, more := strings.CutSuffix(line, `\`); more && len(begun) < maxFile {
			begun += head + " "
			continue
		}
		line, begun = begun+line, ""
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		} else if key, value, ok := strings.Cut(line, "="); ok {
			all = append(all, setting{section, strings.TrimSpace(key), strings.TrimSpace(value), file})
		}
	}
	return all
}

// values returns what counts of a setting that makes a list: an empty value takes
// back those before it.
func values(all []setting, section, key string) (list []setting) {
	for _, s := range all {
		switch {
		case s.section != section || s.key != key:
		case s.value == "":
			list = nil
		default:
			list = append(list, s)
		}
	}
	return list
}

// argument is a word of a command line, and the file that it is from.
type argument struct{ text, file string }

// environment returns the variables of a unit's processes.
func (r *reader) environment(unit []setting) map[string]argument {
	env := map[string]argument{}
	add := func(assignment, file string) {
		if name, value, ok := strings.Cut(assignment, "="); ok {
			env[strings.TrimSpace(name)] = argument{value, file}
		}
	}
	for _, s := range values(r.systemdConfig("system.conf"), "Manager", "DefaultEnvironment") {
		for _, word := range splitWords(s.value) {
			add(word, s.file)
		}
	}
	for _, s := range values(unit, "Service", "Environment") {
		for _, word := range splitWords(s.value) {
			add(word, s.file)
		}
	}
	for _, s := range values(unit, "Service", "EnvironmentFile") {
		for _, file := range r.glob(strings.TrimPrefix(s.value, "-")) {
			for _, line := range strings.Split(strings.ReplaceAll(r.text(file), "\\\n", ""), "\n") {
				line = strings.TrimSpace(line)
				if name, value, ok := strings.Cut(line, "="); ok && line[0] != '#' && line[0] != ';' {
					add(name+"="+strings.Join(splitWords(value), " "), file)
				}
			}
		}
	}
	return env
}

// systemdConfig returns a configuration of systemd's own, such as system.conf, and
// of its drop-ins.
func (r *reader) systemdConfig(name string) (all []setting) {
	var dirs []string
	for _, dir := range []string{"etc/systemd", "usr/local/lib/systemd", "usr/lib/systemd", "lib/systemd"} {
		if len(all) == 0 {
			all = r.settings(path.Join(dir, name))
		}
		dirs = append(dirs, path.Join(dir, name+".d"))
	}
	return append(all, r.dropIns(dirs)...)
}

// glob returns the files that an absolute pattern matches, sorted; a name without
// a pattern is itself. Only the last element may be a pattern.
func (r *reader) glob(pattern string) (files []string) {
	pattern = strings.TrimPrefix(path.Clean("/"+pattern), "/")
	if !strings.ContainsAny(pattern, "*?[") {
		return []string{pattern}
	}
	for _, file := range r.list(path.Dir(pattern), "") {
		if ok, err := path.Match(pattern, file); ok && err == nil {
			files = append(files, file)
		}
	}
	return files
}

// arguments splits a command of a unit into words: quotes are taken away, "%%"
// is "%", and variables get their values.
func arguments(command setting, env map[string]argument) []argument {
	return expand(splitWords(strings.ReplaceAll(command.value, "%%", "%")), command.file, env)
}

// maxArguments bounds the arguments of a command, in bytes: Linux starts no program
// with more (a quarter of the stack, execve(2)).
const maxArguments = 2 << 20

// expand puts variables in place. $NAME alone may be several words. What is too
// long to be run is cut off.
func expand(words []string, file string, env map[string]argument) (all []argument) {
	total := 0 // bytes
	names := slices.Sorted(maps.Keys(env))
	for _, word := range words {
		if total += len(word); total > maxArguments {
			return all
		}
		if name, ok := strings.CutPrefix(word, "$"); ok && !strings.HasPrefix(name, "{") {
			if total += len(env[name].text); total > maxArguments {
				return all
			}
			for _, part := range splitWords(env[name].text) {
				all = append(all, argument{part, env[name].file})
			}
			continue
		}
		from := file
		for _, name := range names {
			n := strings.Count(word, "${"+name+"}")
			if total += n * len(env[name].text); total > maxArguments {
				return all
			}
			if n > 0 {
				word, from = strings.ReplaceAll(word, "${"+name+"}", env[name].text), env[name].file
			}
		}
		all = append(all, argument{word, from})
	}
	return all
}

// splitWords splits as systemd and shells do at spaces outside of quotes, and
// takes quotes and backslashes away.
func splitWords(s string) (words []string) {
	var word strings.Builder
	var quote byte
	begun := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			word.WriteByte(s[i])
			begun = true
		case quote == 0 && (c == '"' || c == '\''):
			quote, begun = c, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}
