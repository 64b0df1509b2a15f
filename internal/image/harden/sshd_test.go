package harden_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
)

const (
	sshUnit    = "[Unit]\n[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStartPre=/usr/sbin/sshd -t\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n"
	includeAll = "Include /etc/ssh/sshd_config.d/*.conf\n"
)

// server is an image with an sshd that asks nobody.
func server() fstest.MapFS {
	return fstest.MapFS{
		"usr/lib/systemd/system/ssh.service": file(sshUnit),
		"etc/default/ssh":                    file("# options\nSSHD_OPTS=\n"),
		"etc/ssh/sshd_config":                file(includeAll + "PermitRootLogin no\nPasswordAuthentication no\n"),
	}
}

// sshd is judged by the command line and the configuration with which it runs.
// Each case adds files and names the finding, and where it is.
func TestSSHDByItsCommandLine(t *testing.T) {
	const dropIn = "usr/lib/systemd/system/ssh.service.d/ec2-instance-connect.conf"
	for name, test := range map[string]struct {
		files      map[string]string
		code, path string
	}{
		"options of a drop-in": {map[string]string{
			dropIn: "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -o \"AuthorizedKeysCommand /usr/share/ec2-instance-connect/eic_run_authorized_keys %%u %%f\" -o \"AuthorizedKeysCommandUser ec2-instance-connect\" $SSHD_OPTS\n",
		}, "ssh-keys-command", dropIn},
		"drop-in of the alias": {map[string]string{
			"lib/systemd/system/sshd.service.d/x.conf": "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -oAuthorizedKeysCommand=/opt/x\n",
		}, "ssh-keys-command", "lib/systemd/system/sshd.service.d/x.conf"},
		"drop-in of the type": {map[string]string{
			"etc/systemd/system/service.d/x.conf": "[Service]\nEnvironment='SSHD_OPTS=-o AuthorizedKeysCommand=/opt/x'\nEnvironmentFile=\n",
		}, "ssh-keys-command", "etc/systemd/system/service.d/x.conf"},
		"environment file": {map[string]string{
			"etc/default/ssh": "SSHD_OPTS='-4 -o AuthorizedPrincipalsCommand=/opt/x'\n",
		}, "ssh-keys-command", "etc/default/ssh"},
		"environment file of a drop-in": {map[string]string{
			"etc/systemd/system/ssh.service.d/x.conf": "[Service]\nEnvironmentFile=/etc/sysconfig/ssh*\n",
			"etc/sysconfig/sshd":                      "SSHD_OPTS=\"-o PermitEmptyPasswords=yes\"\n",
		}, "ssh-empty-passwords", "etc/sysconfig/sshd"},
		"variable in braces": {map[string]string{
			dropIn: "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -o ${X}\nEnvironment=X=PermitRootLogin=yes\n",
		}, "ssh-root-password", dropIn},
		"variable of all units": {map[string]string{
			"etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=SSHD_OPTS=-oPermitRootLogin=yes\n",
			"etc/default/ssh":         "",
		}, "ssh-root-password", "etc/systemd/system.conf"},
		"another file": {map[string]string{
			"etc/default/ssh": "SSHD_OPTS=-Df/etc/ssh/other\n",
			"etc/ssh/other":   "AuthorizedKeysCommand /opt/x\n",
		}, "ssh-keys-command", "etc/ssh/other"},
		"a shell": {map[string]string{
			"etc/systemd/system/ssh.service": "[Service]\nExecStart=/bin/sh -c 'exec /usr/sbin/sshd -D $X'\nEnvironment=\"X=-o AuthorizedKeysCommand=/opt/x\"\n",
		}, "ssh-keys-command", "etc/systemd/system/ssh.service"},
		"a line that goes on": {map[string]string{
			dropIn: "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D \\\n# a comment\n  -o AuthorizedKeysCommand=/opt/x\n",
		}, "ssh-keys-command", dropIn},
		"a second sshd": {map[string]string{
			"etc/systemd/system/ssh-admin.service": "[Service]\nExecStart=-/usr/sbin/sshd -D -f /etc/ssh/admin\n",
			"etc/ssh/admin":                        "PermitEmptyPasswords=yes\n",
		}, "ssh-empty-passwords", "etc/ssh/admin"},
		"for each connection": {map[string]string{
			"usr/lib/systemd/system/ssh@.service": "[Service]\nExecStart=-/usr/sbin/sshd -i -o PermitEmptyPasswords=yes\n",
		}, "ssh-empty-passwords", "usr/lib/systemd/system/ssh@.service"},
		"included file": {map[string]string{
			"etc/ssh/sshd_config":    "Include more/*.conf\n",
			"etc/ssh/more/a.conf":    "Include /opt/b\n",
			"opt/b":                  "AuthorizedKeysCommand /opt/x\n",
			"etc/ssh/more/z.notconf": "PermitEmptyPasswords yes\n",
		}, "ssh-keys-command", "opt/b"},
		"behind a word alone": {map[string]string{
			"etc/ssh/sshd_config": "Nonsense\nAuthorizedKeysCommand /opt/x\n",
		}, "ssh-keys-command", "etc/ssh/sshd_config"},
		"behind Match": {map[string]string{
			"etc/ssh/sshd_config": "PermitEmptyPasswords no\nPasswordAuthentication no\nMatch all\nPermitEmptyPasswords yes\n",
		}, "ssh-empty-passwords", "etc/ssh/sshd_config"},
		"conditional": {map[string]string{
			"etc/ssh/sshd_config": "Match User ubuntu\nAuthorizedKeysCommand /opt/x\n",
		}, "ssh-keys-command", "etc/ssh/sshd_config"},
		"SUSE's place": {map[string]string{
			"etc/ssh/sshd_config": "", "usr/etc/ssh/sshd_config": "AuthorizedKeysCommand \"/opt/x y\"\n",
		}, "ssh-keys-command", "usr/etc/ssh/sshd_config"},
		"signed log-ins": {map[string]string{
			"etc/ssh/sshd_config": "TrustedUserCAKeys /etc/ssh/ca.pub\n",
		}, "ssh-authorized-keys", "etc/ssh/sshd_config"},
		"keys elsewhere": {map[string]string{
			"etc/ssh/sshd_config": "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u\n", "etc/ssh/keys/root": "ssh-ed25519 AAAA\n",
		}, "ssh-authorized-keys", "etc/ssh/keys/root"},
		"other keys in homes": {map[string]string{
			"etc/ssh/sshd_config": "AuthorizedKeysFile %h/.ssh/cloud\n", "root/.ssh/cloud": "ssh-ed25519 AAAA\n",
		}, "ssh-authorized-keys", "root/.ssh/cloud"},
	} {
		root := server()
		for path, content := range test.files {
			root[path] = file(content)
		}
		if strings.HasPrefix(test.path, "usr/etc/") {
			delete(root, "etc/ssh/sshd_config")
		}
		all, err := harden.Inspect(root, harden.Options{})
		if err != nil || !slices.Equal(codes(all), []string{test.code}) || all[0].Path != test.path {
			t.Errorf("%s: %+v, %v", name, all, err)
		}
	}
}

// What no sshd reads does not count, nor what is overruled.
func TestQuietSSHD(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"nothing":              {},
		"drop-in not included": {"etc/ssh/sshd_config": "PasswordAuthentication no\n", "etc/ssh/sshd_config.d/a.conf": "PermitEmptyPasswords yes\n"},
		"drop-in overruled": {
			"usr/lib/systemd/system/ssh.service.d/x.conf": "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -o PermitEmptyPasswords=yes\n",
			"etc/systemd/system/ssh.service.d/x.conf":     "[Service]\n",
		},
		"option overrules":       {"etc/default/ssh": "SSHD_OPTS=-o PermitRootLogin=no\n", "etc/ssh/sshd_config": "PermitRootLogin yes\n"},
		"first value":            {"etc/ssh/sshd_config": "AuthorizedKeysCommand none\nAuthorizedKeysCommand /opt/x\nMatch all\nAuthorizedKeysCommand none\n"},
		"file that is not used":  {"etc/default/ssh": "SSHD_OPTS='-f /etc/ssh/other'\n", "etc/ssh/sshd_config": "PermitEmptyPasswords yes\n", "etc/ssh/other": "PermitEmptyPasswords no\n"},
		"test before the start":  {"etc/systemd/system/ssh.service.d/x.conf": "[Service]\nExecStartPre=/usr/sbin/sshd -t -o PermitEmptyPasswords=yes\n"},
		"SSH's client and agent": {"usr/lib/systemd/system/ssh-agent.service": "[Service]\nExecStart=/usr/bin/ssh-agent -o PermitEmptyPasswords=yes\n"},
	} {
		root := server()
		for path, content := range files {
			root[path] = file(content)
		}
		if all, err := harden.Inspect(root, harden.Options{}); err != nil || len(all) != 0 {
			t.Errorf("%s: %+v, %v", name, all, err)
		}
	}
	root := server()
	root["etc/systemd/system/sshd-x.service"] = link("/dev/null")
	root["usr/lib/systemd/system/sshd-x.service"] = file("[Service]\nExecStart=/usr/sbin/sshd -o PermitEmptyPasswords=yes\n")
	if all, err := harden.Inspect(root, harden.Options{}); err != nil || len(all) != 0 {
		t.Errorf("a masked unit: %+v, %v", all, err)
	}
}

// Files that include each other, and quotes and variables in one another, end.
func TestEndlessSSHD(t *testing.T) {
	root := server()
	root["etc/ssh/sshd_config"] = file(strings.Repeat("Include sshd_config sshd_config\n", 64))
	if _, err := harden.Inspect(root, harden.Options{}); !errors.Is(err, harden.ErrMalformed) {
		t.Errorf("includes: %v", err)
	}
	root = server()
	root["etc/default/ssh"] = file("A='" + strings.Repeat("x ", 1<<19) + "'\n")
	root["etc/systemd/system/ssh.service.d/x.conf"] = file("[Service]\nExecStart=" + strings.Repeat("$A ", 1<<19) + strings.Repeat("${A}", 1<<10) + "\nExecStart=" + strings.Repeat(`"a '\"b \\\"'" `, 1<<10) + "\n")
	if all, err := harden.Inspect(root, harden.Options{}); err != nil || len(all) != 0 {
		t.Errorf("variables: %+v, %v", all, err)
	}
}
