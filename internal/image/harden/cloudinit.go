package harden

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// What steers cloud-init, beside the list of data sources in its configuration
// (cloud-init's tools/ds-identify and cloudinit/stages.py). What ds-identify
// writes to /run, which is empty at every boot, wins over that list.
const (
	cloudConfig    = "etc/cloud/cloud.cfg"
	cloudConfigDir = "etc/cloud/cloud.cfg.d"
	dsIdentify     = "etc/cloud/ds-identify.cfg"
	dsIdentifyEnv  = "usr/libexec/ds-identify-env" // a script that ds-identify runs as part of itself
	cloudInstance  = "var/lib/cloud/instance"      // leads to the data source of the boot before
)

// cloudInit finds data sources that are open to the host: all but None.
func cloudInit(r *reader, o Options) (all []Finding) {
	if !hasCloudInit(r) || r.regular("etc/cloud/cloud-init.disabled") {
		return nil
	}
	keep, open := o.CloudInit == CloudInitKeep, slices.ContainsFunc(o.dataSources(), openSource)
	for _, cause := range slices.Concat(openSources(r), otherSources(r)) {
		all = append(all, Finding{Code: "cloud-init", Severity: Critical, Path: cause.file, Detail: cause.detail, Mended: !keep && !open})
	}
	if !keep && open && len(all) == 0 {
		all = append(all, Finding{Code: "cloud-init", Severity: Critical, Path: cloudConfig, Detail: "cloud-init accepts commands from " + printable(o.CloudInit)})
	}
	for _, cause := range slices.Concat(steeredByConfig(r), steeredByMounts(r), steeredByUnits(r)) {
		all = append(all, Finding{Code: "cloud-init-steered", Severity: Critical, Path: cause.file, Detail: cause.detail})
	}
	return all
}

// cause is a file that opens cloud-init to the host, and how.
type cause struct{ file, detail string }

// hasCloudInit says whether cloud-init may run: it does without cloud.cfg, too,
// and asks everybody then.
func hasCloudInit(r *reader) bool {
	return slices.ContainsFunc([]string{cloudConfig, "usr/bin/cloud-init", "usr/local/bin/cloud-init", "bin/cloud-init"}, r.exists)
}

func openSource(name string) bool { return name != "None" }

// openSources says whom the list asks. cloud-init and ds-identify read it in ways
// of their own, and it is closed only where both find None and nothing else.
func openSources(r *reader) []cause {
	file, sources := dataSources(r)
	if len(sources) > 0 && slices.ContainsFunc(sources, openSource) {
		return []cause{{file, "cloud-init takes orders from " + printable(strings.Join(sources, ", "))}}
	}
	if !r.exists(cloudConfig) && len(sources) == 0 {
		file = cloudConfigDir
	}
	if len(sources) == 0 {
		return []cause{{file, "cloud-init asks every data source it knows, so the host can run commands as root"}}
	}
	if file, sources := identified(r); len(sources) == 0 || slices.ContainsFunc(sources, openSource) {
		return []cause{{file, "ds-identify reads lists of data sources on one line only, and of the last file, so cloud-init asks others than its configuration names"}}
	}
	return nil
}

// dataSources returns the list that counts for cloud-init, of the file that sorts
// last, and that file.
func dataSources(r *reader) (file string, sources []string) {
	file = cloudConfig
	for _, f := range cloudFiles(r) {
		top, err := readYAML(r.text(f))
		if err != nil {
			continue // steeredByConfig names it
		}
		if list, ok := top["datasource_list"]; ok {
			file, sources = f, scalars(list)
		}
	}
	return file, sources
}

// identifyKey is what ds-identify takes for the key of its list.
var identifyKey = regexp.MustCompile(`datasource_list["']*[ \t]*:`)

// identified returns the list that counts for ds-identify: it looks for a line
// with the key, wherever that stands, and reads no list in lines of its own.
func identified(r *reader) (file string, sources []string) {
	for _, f := range cloudFiles(r) {
		for line := range strings.Lines(r.text(f)) {
			line, _, _ = strings.Cut(line, "#")
			if at := identifyKey.FindStringIndex(line); at != nil {
				file, sources = f, strings.FieldsFunc(line[at[1]:], func(c rune) bool { return strings.ContainsRune("[], \t\r\n'\"", c) })
			}
		}
	}
	return file, sources
}

// cloudFiles lists cloud-init's configuration in the order in which it is read.
func cloudFiles(r *reader) []string {
	return append([]string{cloudConfig}, r.list(cloudConfigDir, ".cfg")...)
}

// otherSources finds what names a data source whatever the list says, and what the
// conversion replaces.
func otherSources(r *reader) (all []cause) {
	for line := range strings.Lines(r.text(dsIdentify)) {
		line, _, _ = strings.Cut(line, "#")
		if key, value, ok := strings.Cut(line, ":"); ok && strings.Contains(key, "datasource") {
			if name := strings.Trim(strings.TrimSpace(value), `'"`); openSource(name) {
				all = append(all, cause{dsIdentify, "ds-identify has cloud-init take orders from " + printable(name) + ", whatever list it has"})
			}
		}
	}
	if strings.Contains(r.text(dsIdentify), `\`) {
		all = append(all, cause{dsIdentify, "ds-identify joins lines here, and may find a data source"})
	}
	if r.text(dsIdentifyEnv) != "" && r.text(dsIdentifyEnv) != emptyConfig {
		all = append(all, cause{dsIdentifyEnv, "a script says what ds-identify reads and finds"})
	}
	if r.exists(cloudInstance) {
		all = append(all, cause{cloudInstance, "cloud-init goes on with the data source of the image's last boot, whatever list it has"})
	}
	return all
}

// emptyConfig stands where the conversion empties a file.
const emptyConfig = "# Written by snpguard: the host can answer for every data source.\n"

// cloudEdit restricts cloud-init's data sources. Files of cloud.cfg.d are read
// in order and the last list counts, so the file's name must sort last.
func cloudEdit(r *reader, o Options) ([]Edit, error) {
	if o.CloudInit == CloudInitKeep || !hasCloudInit(r) {
		return nil, nil
	}
	for _, name := range o.dataSources() {
		if !plainWord(name) {
			return nil, fmt.Errorf("%w: cloud-init data source %.100q", ErrMalformed, name)
		}
	}
	file, err := lastCloudFile(r)
	if err != nil {
		return nil, err
	}
	edits := []Edit{{Path: file, Mode: 0o644, Content: []byte(cloudRestriction + "datasource_list: [ " + strings.Join(o.dataSources(), ", ") + " ]\n")}}
	if r.exists(dsIdentify) {
		edits = append(edits, Edit{Path: dsIdentify, Mode: 0o644, Content: []byte(emptyConfig + identifyPolicy(r.text(dsIdentify)))})
	}
	if r.exists(dsIdentifyEnv) {
		edits = append(edits, Edit{Path: dsIdentifyEnv, Mode: 0o644, Content: []byte(emptyConfig)})
	}
	if r.exists(cloudInstance) {
		edits = append(edits, Edit{Path: cloudInstance, Remove: true})
	}
	return edits, nil
}

// cloudRestriction settles what else leads cloud-init to data sources: code of
// other packages, and directories where it finds a list or what it kept.
const cloudRestriction = `# Written by snpguard: the host can answer for every other data source.
datasource_pkg_list: []
system_info: { paths: { cloud_dir: /var/lib/cloud, run_dir: /run/cloud-init } }
`

// lastCloudFile returns a name that sorts behind all others.
func lastCloudFile(r *reader) (string, error) {
	existing := r.list(cloudConfigDir, ".cfg")
	for _, name := range []string{"99-snpguard.cfg", "zz-snpguard.cfg", "zzzz-snpguard.cfg"} {
		file := path.Join(cloudConfigDir, name)
		if len(existing) == 0 || existing[len(existing)-1] <= file {
			return file, nil
		}
	}
	return "", fmt.Errorf("%w: %.200q sorts after everything that could restrict cloud-init", ErrMalformed, existing[len(existing)-1])
}

// identifyPolicy returns the line of ds-identify.cfg that says what becomes of
// cloud-init where no data source is found. It names none.
func identifyPolicy(content string) (policy string) {
	for line := range strings.Lines(content) {
		line, _, _ = strings.Cut(line, "#")
		key, value, _ := strings.Cut(line, ":")
		value = strings.Trim(strings.TrimSpace(value), `'"`)
		if strings.TrimSpace(key) == "policy" && !strings.ContainsFunc(value, func(c rune) bool { return (c < 'a' || c > 'z') && c != ',' && c != '=' }) {
			policy = "policy: " + value + "\n"
		}
	}
	return policy
}

func plainWord(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
