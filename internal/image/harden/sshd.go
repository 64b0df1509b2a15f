package harden

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Limits on sshd's configuration: how deep Include is followed (as sshd's own
// SERVCONF_MAX_DEPTH), and files in all.
const (
	maxIncludes    = 16
	maxServerFiles = 1024
	maxServers     = 64
)

// directive is a line of sshd's configuration, or an option on its command line.
type directive struct {
	key, value  string // key in lower case
	file        string
	conditional bool // behind a Match, where it overrules what stands before
}

// sshd finds settings that let in without a key of the owner's, in the
// configuration of each sshd that a unit starts.
func sshd(r *reader) (all []Finding) {
	servers := sshServers(r)
	if len(servers) == 0 {
		servers = [][]argument{nil}
	}
	for _, args := range servers {
		for _, found := range judgeSSHD(r, serverDirectives(r, args)) {
			if !slices.Contains(all, found) {
				all = append(all, found)
			}
		}
	}
	return all
}

// judgeSSHD judges the settings that count: the first value of each, and each
// conditional one.
func judgeSSHD(r *reader, directives []directive) (all []Finding) {
	seen := make(map[string]bool)
	for _, d := range directives {
		if seen[d.key] && !d.conditional {
			continue
		}
		seen[d.key] = seen[d.key] || !d.conditional
		value := strings.ToLower(d.value)
		switch d.key {
		case "permitemptypasswords":
			if value == "yes" {
				all = append(all, Finding{Code: "ssh-empty-passwords", Severity: Critical, Path: d.file, Detail: "SSH accepts empty passwords"})
			}
		case "permitrootlogin":
			if value == "yes" {
				all = append(all, Finding{Code: "ssh-root-password", Severity: Warning, Path: d.file, Detail: "root may log in over SSH with a password"})
			}
		case "authorizedkeyscommand", "authorizedprincipalscommand":
			if value != "none" {
				all = append(all, Finding{Code: "ssh-keys-command", Severity: Critical, Path: d.file, Detail: "a program decides which keys SSH accepts; those of clouds ask the host"})
			}
		case "passwordauthentication":
			if value == "yes" {
				all = append(all, Finding{Code: "ssh-passwords", Severity: Warning, Path: d.file, Detail: "SSH accepts passwords, which the host can try to guess"})
			}
		case "trustedusercakeys":
			if value != "none" {
				all = append(all, Finding{Code: "ssh-authorized-keys", Severity: Warning, Path: d.file, Detail: "anyone with a key of " + printable(d.value) + " can sign log-ins for SSH"})
			}
		case "authorizedkeysfile":
			all = append(all, keysFiles(r, d)...)
		}
	}
	return all
}

// keysFiles finds keys in files beside those of homes that everybody knows.
func keysFiles(r *reader, d directive) (all []Finding) {
	for _, name := range splitWords(d.value) {
		name = strings.NewReplacer("%u", "*", "%U", "*").Replace(strings.TrimPrefix(name, "%h/"))
		patterns := []string{name}
		if !strings.HasPrefix(name, "/") {
			patterns = nil
			for _, home := range append(r.list("home", ""), "root") {
				patterns = append(patterns, path.Join(home, name))
			}
		}
		for _, pattern := range patterns {
			for _, file := range r.glob(pattern) {
				if !slices.Contains(keysFileNames, path.Base(file)) && len(r.lines(file)) > 0 {
					all = append(all, Finding{Code: "ssh-authorized-keys", Severity: Warning, Path: file, Detail: "anyone with one of these keys can log in over SSH"})
				}
			}
		}
	}
	return all
}

// keysFileNames lists the files of ~/.ssh that authorizedKeys looks for.
var keysFileNames = []string{"authorized_keys", "authorized_keys2"}

// sshServers returns the arguments of each sshd that a unit with "ssh" in its
// name starts. Drop-ins of ssh.service and sshd.service, which are often names of
// one unit, count for both.
func sshServers(r *reader) (all [][]argument) {
	seen := map[string]bool{}
	for _, dir := range unitDirs {
		for _, file := range r.list(dir, ".service") {
			name := path.Base(file)
			if !strings.Contains(name, "ssh") || seen[name] || masked(r, name) {
				continue
			}
			seen[name] = true
			unit := r.unit(name, sshAliases(name)...)
			env := r.environment(unit)
			for _, command := range values(unit, "Service", "ExecStart") {
				if args, ok := serverArguments(arguments(command, env), env, maxShells); ok {
					all = append(all, args)
				}
			}
			if len(all) > maxServers {
				r.note(file, fmt.Errorf("%w: units start more than %d SSH servers", ErrMalformed, maxServers))
				return all
			}
		}
	}
	return all
}

func sshAliases(name string) []string {
	switch name {
	case "ssh.service", "sshd.service":
		return []string{"ssh.service", "sshd.service"}
	case "ssh@.service", "sshd@.service":
		return []string{"ssh@.service", "sshd@.service"}
	}
	return nil
}

// maxShells bounds how many shells in one another a command is followed into.
const maxShells = 4

// serverArguments returns what stands behind sshd in a command, also in one that
// a shell or another program runs.
func serverArguments(words []argument, env map[string]argument, depth int) ([]argument, bool) {
	for i, w := range words {
		program := path.Base(strings.TrimLeft(w.text, "-@:+!|"))
		if program == "sshd" {
			return words[i+1:], true
		}
		if depth == 0 || !strings.ContainsAny(w.text, " \t") {
			continue
		}
		if args, ok := serverArguments(expand(splitWords(w.text), w.file, env), env, depth-1); ok {
			return slices.Concat(args, words[i+1:]), true
		}
	}
	return nil, false
}

// serverDirectives returns the configuration of an sshd with arguments as sshd
// reads it: options first, then the file.
func serverDirectives(r *reader, args []argument) []directive {
	var all []directive
	config := "etc/ssh/sshd_config"
	if !r.exists(config) && r.exists("usr/etc/ssh/sshd_config") {
		config = "usr/etc/ssh/sshd_config" // SUSE
	}
	for _, option := range serverOptions(args) {
		switch option.text[0] {
		case 'o':
			if key, value, ok := keyAndValue(option.text[1:]); ok {
				all = append(all, directive{key: key, value: value, file: option.file})
			}
		case 'f':
			config = strings.TrimPrefix(path.Clean("/"+option.text[1:]), "/")
		}
	}
	c := &serverConfig{r: r}
	return append(all, c.read(config, false, maxIncludes)...)
}

// serverOptions reads sshd's arguments as getopt(3) does, and returns those
// options that have a value, with their letter in front.
func serverOptions(args []argument) (all []argument) {
	const withValue = "CEbcfghkopu"
	for i := 0; i < len(args); i++ {
		letters, ok := strings.CutPrefix(args[i].text, "-")
		if !ok || letters == "-" {
			continue
		}
		at := strings.IndexAny(letters, withValue)
		if at < 0 {
			continue
		}
		option := argument{letters[at:], args[i].file}
		if at == len(letters)-1 && i+1 < len(args) {
			i++
			option = argument{option.text + args[i].text, args[i].file}
		}
		all = append(all, option)
	}
	return all
}

// serverConfig reads files of sshd's configuration.
type serverConfig struct {
	r     *reader
	files int // that were read
}

// read returns the directives of a file and of those that it includes.
func (c *serverConfig) read(file string, conditional bool, depth int) (all []directive) {
	if c.files++; c.files > maxServerFiles || depth == 0 {
		c.r.note(file, fmt.Errorf("%w: sshd's configuration has more than %d files, or they include each other", ErrMalformed, maxServerFiles))
		return nil
	}
	for _, line := range c.r.lines(file) {
		key, value, ok := keyAndValue(line)
		switch {
		case !ok:
		case key == "match":
			conditional = true
		case key == "include":
			for _, pattern := range splitWords(value) {
				if !strings.HasPrefix(pattern, "/") {
					pattern = "etc/ssh/" + pattern
				}
				for _, included := range c.r.glob(pattern) {
					all = append(all, c.read(included, conditional, depth-1)...)
				}
			}
		default:
			all = append(all, directive{key, value, file, conditional})
		}
	}
	return all
}

// keyAndValue splits a line of sshd_config(5): a key, space or "=", and its
// value, which may stand in quotes.
func keyAndValue(line string) (key, value string, ok bool) {
	line = strings.TrimSpace(line)
	at := strings.IndexAny(line, " \t=\"")
	if at < 0 {
		return "", "", false
	}
	value = strings.TrimLeft(line[at:], " \t")
	if rest, ok := strings.CutPrefix(value, "="); ok {
		value = strings.TrimLeft(rest, " \t")
	}
	words := splitWords(value)
	if at == 0 || len(words) == 0 {
		return "", "", false
	}
	return strings.ToLower(strings.Trim(line[:at], `"`)), strings.Join(words, " "), true
}
