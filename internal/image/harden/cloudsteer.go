package harden

import (
	"cmp"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// template is the first line of a configuration that cloud-init renders.
var template = regexp.MustCompile(`^(?i)\s*##\s*template:`)

// steeredByConfig finds settings of cloud-init's configuration that a list of
// data sources in the last file does not overrule.
func steeredByConfig(r *reader) (all []cause) {
	for _, file := range cloudFiles(r) {
		content := r.text(file)
		if template.MatchString(content) {
			all = append(all, cause{file, "a template, which says only in the guest what cloud-init is to do"})
			continue
		}
		top, err := readYAML(content)
		if err != nil {
			all = append(all, cause{file, "is not plain YAML, so whom cloud-init obeys cannot be told"})
			continue
		}
		if _, ok := top["conf_d"]; ok && file == cloudConfig {
			all = append(all, cause{file, "conf_d has cloud-init read another directory than " + cloudConfigDir})
		}
		for _, key := range []string{"merge_how", "merge_type"} {
			if _, ok := top[key]; ok {
				all = append(all, cause{file, key + " has earlier files win over later ones"})
			}
		}
		if fetches(top, "datasource", "None", "userdata_raw") {
			all = append(all, cause{file, "the user data of data source None fetches more from elsewhere, through the host"})
		}
	}
	for _, dir := range []string{"etc/tmpfiles.d", "usr/local/lib/tmpfiles.d", "usr/lib/tmpfiles.d", "lib/tmpfiles.d"} {
		for _, file := range r.list(dir, ".conf") {
			if text := r.text(file); strings.Contains(text, "cloud-init/cloud.cfg") || strings.Contains(text, ".ds-identify.result") {
				all = append(all, cause{file, "writes what cloud-init reads in /run, which wins over its list of data sources"})
			}
		}
	}
	return all
}

// steeredByMounts finds what hides the files that the conversion writes: links to
// elsewhere, and file systems that are mounted over them.
func steeredByMounts(r *reader) (all []cause) {
	for _, dir := range []string{"etc/cloud", cloudConfigDir} {
		if target, err := fs.ReadLink(r.fsys, dir); err == nil {
			all = append(all, cause{dir, "leads to " + printable(target) + ", which may be another place in the guest"})
		}
	}
	content := r.text(fstabFile)
	root := rootSource(content)
	for line := range strings.Lines(content) {
		m, ok := parseMount(line)
		if target := path.Clean("/" + plain(m.target)); ok && m.judge(root) != dropped && (target == "/etc" || target == "/etc/cloud" || strings.HasPrefix(target, "/etc/cloud/")) {
			all = append(all, cause{fstabFile, printable(target) + " is mounted over cloud-init's configuration"})
		}
	}
	for _, name := range []string{"etc.mount", "etc-cloud.mount", "etc-cloud-cloud.cfg.d.mount", "etc-cloud-ds\\x2didentify.cfg.mount"} {
		if file, ok := active(r, name); ok {
			all = append(all, cause{file, "mounts something over cloud-init's configuration"})
		}
	}
	return all
}

// fetches says whether the user data under keys in one another may have cloud-init
// read more of it from somewhere else ("#include" and its MIME types), or cannot
// be told.
func fetches(top map[string]*yaml.Node, keys ...string) bool {
	for {
		node := top[keys[0]]
		if node == nil || node.Tag == "!!null" {
			return false
		}
		if keys = keys[1:]; len(keys) == 0 {
			text := strings.ToLower(node.Value)
			return node.Kind != yaml.ScalarNode || strings.Contains(text, "include") || strings.Contains(text, "://") || strings.Contains(text, "base64")
		}
		var err error
		if top, err = fields(node); err != nil {
			return true
		}
	}
}

// steeredByUnits finds how systemd has cloud-init, or ds-identify, read other
// files than they would.
func steeredByUnits(r *reader) (all []cause) {
	for _, s := range r.systemdConfig("system.conf") {
		if s.section == "Manager" && strings.HasSuffix(s.key, "Environment") && steersByVariable(s.value) {
			all = append(all, cause{s.file, s.key + " has cloud-init read other files"})
		}
	}
	for _, dir := range []string{"etc/systemd", "usr/local/lib/systemd"} { // before the distribution's own
		file := path.Join(dir, "system-generators/cloud-init-generator")
		if r.exists(file) && !r.leadsNowhere(file) {
			all = append(all, cause{file, "runs in the place of cloud-init's own generator"})
		}
	}
	for _, name := range []string{"cloud-init.service", "cloud-init-main.service", "cloud-init-local.service", "cloud-init-network.service", "cloud-config.service", "cloud-final.service", "cloud-init-hotplugd.service"} {
		unit := r.unit(name)
		for variable, value := range r.environment(unit) {
			if steersByVariable(variable + "=") {
				all = append(all, cause{value.file, printable(variable) + " has " + name + " read another configuration"})
			}
		}
		for _, command := range values(unit, "Service", "ExecStart") {
			if strings.HasSuffix(path.Dir(command.file), ".d") || namesConfig(arguments(command, nil)) {
				all = append(all, cause{command.file, name + " does not run as cloud-init's own unit does"})
			}
		}
	}
	slices.SortFunc(all, func(a, b cause) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.detail, b.detail)) })
	return slices.Compact(all)
}

// steersByVariable says whether an assignment is of a variable by which cloud-init
// or ds-identify find their files.
func steersByVariable(assignments string) bool {
	return slices.ContainsFunc([]string{"CLOUD_CFG", "PATH_DI_", "PATH_ETC_C", "PATH_RUN", "PATH_ROOT", "PATH_VAR_LIB_CLOUD", "DI_MAIN", "PYTHONPATH"},
		func(name string) bool { return strings.Contains(assignments, name) })
}

// namesConfig says whether words of a command have cloud-init read a further
// configuration.
func namesConfig(words []argument) bool {
	for _, w := range words {
		for _, part := range splitWords(w.text) {
			if strings.HasPrefix(part, "--fi") || strings.HasPrefix(part, "-f") || steersByVariable(part) {
				return true
			}
		}
	}
	return false
}
