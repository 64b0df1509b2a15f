//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

// kernelPackages are those of a kernel of Debian that is newer than the images', with
// the archive's signed index of them.
type kernelPackages struct {
	paths            []string
	version          string // of the kernel
	release, index   string // InRelease and Packages
	fileSystemOfThem string // for a disk of the guest
}

// keyring is where Debian keeps the keys of its archive.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

func newerKernel(t *testing.T) *kernelPackages {
	t.Helper()
	dir := filepath.Join(filepath.Dir(image(t, "debian")), "kernel")
	paths, err := filepath.Glob(filepath.Join(dir, "linux-b*-cloud-amd64_*.deb")) // linux-base-VERSION and linux-binary-VERSION
	modules, errModules := filepath.Glob(filepath.Join(dir, "linux-modules-*.deb"))
	if err := errors.Join(err, errModules); err != nil || len(paths) != 2 || len(modules) != 1 {
		t.Fatalf("%d and %d kernel packages in %s, %v: run \"make images\" first", len(paths), len(modules), dir, err)
	}
	paths = append(paths, modules...)
	base, _, _ := strings.Cut(filepath.Base(paths[0]), "_")
	k := &kernelPackages{
		paths: paths, version: strings.TrimPrefix(base, "linux-base-"),
		release: filepath.Join(dir, "InRelease"), index: filepath.Join(dir, "Packages.xz"),
		fileSystemOfThem: filepath.Join(t.TempDir(), "packages.ext4"),
	}
	output(t, "mke2fs", "-q", "-t", "ext4", "-d", dir, k.fileSystemOfThem, "128M")
	return k
}

// flags names the packages to a command.
func (k *kernelPackages) flags() (flags []string) {
	for _, path := range k.paths {
		flags = append(flags, "--kernel-package", path)
	}
	return flags
}

// openConsole is the stock Debian with a root that logs in on the console without a
// password, which is how the test gets in.
func openConsole(t *testing.T) string {
	t.Helper()
	raw := filepath.Join(scratch, "open-console.raw")
	output(t, "qemu-img", "convert", "-O", "raw", image(t, "debian"), raw)
	root := raw + fmt.Sprintf("?offset=%d", partitionStart(t, raw, 1))
	shadow := filepath.Join(t.TempDir(), "shadow")
	output(t, "debugfs", "-R", "dump /etc/shadow "+shadow, root)
	content, err := os.ReadFile(shadow)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, shadow, regexp.MustCompile(`(?m)^root:[^:]*:`).ReplaceAllString(string(content), "root::"))
	output(t, "debugfs", "-w", "-R", "rm /etc/shadow", root)
	output(t, "debugfs", "-w", "-R", "write "+shadow+" /etc/shadow", root)
	return raw
}

// partitionStart returns where a partition begins, in bytes.
func partitionStart(t *testing.T, raw string, number int) int64 {
	t.Helper()
	first := regexp.MustCompile(`First sector: (\d+)`).FindStringSubmatch(output(t, "sgdisk", "-i", fmt.Sprint(number), raw))
	if first == nil {
		t.Fatalf("no partition %d", number)
	}
	var sector int64
	if _, err := fmt.Sscan(first[1], &sector); err != nil {
		t.Fatal(err)
	}
	return sector * 512
}

// shell is root at a guest's console.
type shell struct {
	v     *vm.VM
	count int
}

// rootShell logs in.
func rootShell(t *testing.T, v *vm.VM) *shell {
	t.Helper()
	login(t, v)
	send(t, v, "root")
	expect(t, v, `root@localhost:~# `, 3*time.Minute)
	return &shell{v: v}
}

func send(t *testing.T, v *vm.VM, line string) {
	t.Helper()
	if err := v.Send(line + "\n"); err != nil {
		t.Fatal(err)
	}
}

// run runs a command that has to succeed and returns what it printed. What is typed
// must not look like what is waited for.
func (s *shell) run(t *testing.T, command string) string {
	t.Helper()
	s.count++
	send(t, s.v, fmt.Sprintf(`echo "BEGIN"-%d; %s; echo "END"-%d-$?`, s.count, command, s.count))
	found := expect(t, s.v, fmt.Sprintf(`(?s)BEGIN-%d\r?\n(.*?)END-%d-(\d+)`, s.count, s.count), untilLogin)
	if found[2] != "0" {
		t.Fatalf("%s: exit code %s\n%s", command, found[2], found[1])
	}
	return strings.TrimSpace(found[1])
}

// colleague returns a login with the role approve, for "snpguard" as another person
// runs it.
func colleague(t *testing.T) []string {
	t.Helper()
	theService(t) // makes the login
	login, err := client.ReadLogin(loginFile())
	if err != nil {
		t.Fatal(err)
	}
	token, err := manager(t).CreateToken(t.Context(), wire.TokenRequest{Name: "colleague", Role: wire.RoleApprove, ExpiresIn: 3600})
	if err != nil {
		t.Fatal(err)
	}
	login.Token = token.Secret
	path := filepath.Join(t.TempDir(), "colleague.json")
	if err := login.Write(path); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "SNPGUARD_LOGIN="+path, "LC_ALL=C")
}

// as runs snpguard with another environment.
func as(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program("snpguard"), args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("snpguard %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// differences returns what differs between two releases of an image.
func differences(t *testing.T, env []string, image, a, b string) string {
	t.Helper()
	cmd := exec.Command(program("snpguard"), "release", "diff", image, a, b)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("release diff: %v\n%s", err, out)
	}
	return string(out)
}

var releaseID = regexp.MustCompile(`(?m)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// proposed returns the one release of an image that waits for approval.
func proposed(t *testing.T, image string) string {
	t.Helper()
	found := releaseID.FindAllString(snpguard(t, "release", "list", image, "--only", "proposed"), -1)
	if len(found) != 1 {
		t.Fatalf("%d proposed releases of %s: %v", len(found), image, found)
	}
	return found[0]
}

// fromDisk launches what is on a disk, as an instance, with a further disk of the host's.
func fromDisk(t *testing.T, i *instance, further string) *vm.VM {
	t.Helper()
	return start(t, []string{
		program("snpguard"), "launch", "--image", i.Image, "--instance", i.name, "--memory", "1G", "--simulate", "--sim-state", theService(t).simState,
		"--", "-drive", "if=none,format=raw,readonly=on,id=further,file=" + further, "-device", "virtio-blk-pci,drive=further",
	})
}

// TestNextKernel is an instance's life from one kernel to the next. A real Debian boots
// with its own; root installs another, the operator adds a release from the same
// package, a colleague verifies and approves it, and the guest takes it, boots it and
// confirms it. The old release is retired and refused. Then comes one whose kernel
// panics: the host goes back to the one before.
func TestNextKernel(t *testing.T) {
	t.Parallel()
	const name = "next-kernel"
	kernel, other := newerKernel(t), colleague(t)
	c := convertFile(t, openConsole(t), filepath.Join(scratch, name))
	bundle := registered(t, name, c, "--accept-finding", "empty-password", "--instances", "named")
	first := releaseID.FindString(snpguard(t, "release", "list", name))
	snpguard(t, "embed", "--image", c.Image, "--bundle", bundle)

	i := newInstance(t, c, bundle, name)
	v := fromDisk(t, i, kernel.fileSystemOfThem)
	s := rootShell(t, v)
	if running := s.run(t, "uname -r"); running == kernel.version {
		t.Fatalf("the image has %s already", running)
	}
	grown := s.run(t, "df --output=size -B1M / | tail -n 1")
	t.Logf("the root has %s MiB", grown)
	s.run(t, "mount -o ro /dev/vdb /mnt && dpkg -i /mnt/linux-base_*.deb && dpkg -i /mnt/linux-*-*.deb && umount /mnt")
	wants(t, s.run(t, "/run/snpguard/agent update"), kernel.version)
	wants(t, snpguard(t, "image", "machines", name, "--all"), kernel.version, i.id.String())

	signed := []string{"--signed-by", keyring, "--index", kernel.release, "--index", kernel.index}
	snpguard(t, slices.Concat([]string{"release", "add", name}, kernel.flags(), signed)...)
	second := proposed(t, name)
	wants(t, s.run(t, "/run/snpguard/agent update"), "wait")
	wants(t, differences(t, other, name, first, second), kernel.version)
	as(t, other, slices.Concat([]string{"release", "verify", name, second}, kernel.flags())...)
	as(t, other, "release", "approve", name, second)

	send(t, v, "/run/snpguard/agent update --reboot")
	s = rootShell(t, v)
	if running := s.run(t, "uname -r"); running != kernel.version {
		t.Fatalf("the guest runs %s", running)
	}
	s.run(t, "systemctl start boot-complete.target snpguard-confirm.service")
	fleet := strings.Join(strings.Fields(snpguard(t, "image", "machines", name)), " ")
	wants(t, fleet, "RELEASE RUNNING CONFIRMED "+second+" 1 1")

	snpguard(t, "release", "retire", name, first, "--yes")
	third := panicking(t, name, c, other)
	send(t, v, "/run/snpguard/agent update --reboot")
	expect(t, v, `Kernel panic`, untilLogin)
	s = rootShell(t, v)
	if running := s.run(t, "uname -r"); running != kernel.version {
		t.Fatalf("after the panics the guest runs %s", running)
	}
	wants(t, s.run(t, "/run/snpguard/agent update"), third) // it is not tried again

	v.Stop()
	poweredOff(t, boot(t, c, bundle, "--snapshot"), `unlock: .*denied by the service`)
	wants(t, snpguard(t, "audit", "list", "--reason", "release_retired"), "denied")
}

// panicking adds a release to an image whose kernel finds nothing to start, approves it
// and returns its ID.
func panicking(t *testing.T, name string, c *conversion, other []string) string {
	t.Helper()
	const start = "rdinit=/snpguard/agent"
	cmdline := filepath.Join(t.TempDir(), "cmdline")
	writeFile(t, cmdline, strings.Replace(c.Conversion.Cmdline, start, "rdinit=/nothing", 1))
	snpguard(t, "register", "--add-release", "--staging", c.Staging, "--cmdline-file", cmdline, "--vcpus", "2", "--vcpu-type", variantType,
		"--accept-finding", "empty-password")
	release := proposed(t, name)
	as(t, other, "release", "approve", name, release)
	return release
}

// wants wants words in what a program printed.
func wants(t *testing.T, printed string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(printed, word) {
			t.Errorf("nothing about %q in\n%s", word, printed)
		}
	}
}
