//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

// TestMinimal boots real images whose root the agent mounts itself to the login prompt,
// takes the power away, and boots them once more. TestSecondBoot does so with another
// kind, and with a host that interferes.
func TestMinimal(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"dracut", "ubuntu", "sysvinit"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := converted(t, kind)
			bundle, disk := registered(t, kind, c), *c
			disk.Image = ownImage(t, c)
			for try := range 2 {
				v := boot(t, &disk, bundle)
				expect(t, v, `snpguard: .* root: mounted read-only`, untilAgent)
				expect(t, v, `snpguard: .* hand-over: to the system's init`, untilAgent)
				login(t, v)
				if try == 0 {
					settled(t, v, kind)
				}
				v.Stop()
			}
		})
	}
}

// settled waits until the first boot has written what it makes, such as host keys: a cut
// before that leaves empty files on any system. Linux writes pages back after 30 s.
func settled(t *testing.T, v *vm.VM, kind string) {
	t.Helper()
	finished := regexp.MustCompile(`Cloud-init v\. .* finished at`) // perhaps before the prompt
	for range 120 {
		if kind == "sysvinit" || finished.MatchString(v.Log()) { // the former has no cloud-init
			time.Sleep(40 * time.Second)
			return
		}
		time.Sleep(5 * time.Second)
	}
	t.Fatal("cloud-init has not finished")
}

// told returns what the probe has told, by what it is about.
func told(t *testing.T, v *vm.VM) map[string]string {
	t.Helper()
	expect(t, v, `PROBE done`, untilAgent)
	found := map[string]string{}
	for _, line := range regexp.MustCompile(`PROBE ([a-z-]+): (.*)`).FindAllStringSubmatch(v.Log(), -1) {
		found[line[1]] = strings.TrimSpace(line[2])
	}
	return found
}

// hostsUUID is what the host says in SMBIOS.
const hostsUUID = "11111111-2222-4333-8444-555555555555"

// TestHostSteers boots with stray words on the source's command line, a clock ten years
// off, an ID of the host's in SMBIOS, and disks of the host's that bear the root's UUID
// or name: init gets none of it. It ends, and with it the machine.
func TestHostSteers(t *testing.T) {
	t.Parallel()
	c := small(t, "debian")
	bundle, uuid := registered(t, "small", c), c.Conversion.Disk.FilesystemUUID
	dir := t.TempDir()
	var disks []string
	for name, content := range map[string]func(t *testing.T, path string){
		"same": func(t *testing.T, path string) { output(t, "mke2fs", "-q", "-t", "ext4", "-U", uuid, path) },
		"lvm":  func(t *testing.T, path string) { volumeGroup(t, path, uuid) },
		"half": func(t *testing.T, path string) { halfOfBtrfs(t, path, uuid) },
	} {
		path := filepath.Join(dir, name)
		writeFile(t, path, "")
		truncate(t, path, otherDisk)
		content(t, path)
		disks = append(disks, "-drive", "if=none,format=raw,id="+name+",file="+path, "-device", "virtio-blk-pci,drive="+name)
	}
	ids := map[string]bool{strings.ReplaceAll(hostsUUID, "-", ""): true}
	for _, years := range []int{-10, 10} {
		flags := append(append([]string{"--snapshot", "--", "-uuid", hostsUUID}, inYears(years)...), disks...)
		v := boot(t, c, bundle, flags...)
		found := told(t, v)
		for what, want := range map[string]string{
			"arguments":   "/sbin/init",
			"environment": "HOME=/ TERM=linux PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"pid":         "1",
			"root":        "cryptroot",
		} {
			if found[what] != want {
				t.Errorf("%s is %q, want %q", what, found[what], want)
			}
		}
		if !regexp.MustCompile(`^vd[a-z]1$`).MatchString(found["on"]) || !strings.Contains(found["options"], "- ext4 /dev/mapper/cryptroot ro") {
			t.Errorf("the root is on %q, options %q", found["on"], found["options"])
		}
		if id := found["machine-id"]; !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) || ids[id] {
			t.Errorf("machine-id is %q; the host's and earlier ones are %v", id, ids)
		} else {
			ids[id] = true
		}
		if at, err := time.Parse(time.RFC3339, found["clock"]); err != nil || time.Since(at).Abs() > time.Hour {
			t.Errorf("the clock is at %v, %v", at, err)
		}
		if !strings.Contains(found["status"], "/dev/mapper/cryptroot") {
			t.Errorf("status: %q", found["status"])
		}
		ended(t, v) // a dying init
	}
}

// TestNoInit has roots that the agent mounts and that have nothing to start: it ends
// the machine, with no shell.
func TestNoInit(t *testing.T) {
	t.Parallel()
	source := filepath.Join(t.TempDir(), "disk.raw")
	output(t, "cp", "--sparse=always", smallImage(t, "debian"), source)
	output(t, "debugfs", "-w", "-R", "rm /usr/sbin/init", source+"?offset=1048576")
	c := convertFile(t, source, filepath.Join(scratch, "no-init"), "--format", "raw")
	poweredOff(t, boot(t, c, registered(t, "no-init", c), "--snapshot"), `hand-over: start /sbin/init: no such file or directory`)
}

// TestUncheckableRoot has the host change the ciphertext of a directory of a real root,
// so that it mounts and cannot be mended without questions: the system powers off.
func TestUncheckableRoot(t *testing.T) {
	t.Parallel()
	c := convertImage(t, "debian", filepath.Join(scratch, "uncheckable"), "--format", "raw", "--cmdline-append", patience+" fsck.mode=force")
	h := newHost(t, c, registered(t, "uncheckable", c))
	var s *stolen
	s, h.disk = steal(t, c)
	plain := decrypted(t, rootPartition(t, c.Image, c.Conversion), recovered(t, c), c.Conversion)
	s.damage(t, firstBlock(t, "/srv", plain)*4096)
	v := h.boot(t)
	expect(t, v, `snpguard: .* root: mounted`, untilAgent)
	expect(t, v, `Failed to start systemd-fsck-root`, untilLogin)
	ended(t, v)
	if !regexp.MustCompile(`reboot: Power down`).MatchString(v.Log()) {
		t.Error("the machine was not powered off")
	}
}

// firstBlock asks debugfs for the first block of a file.
func firstBlock(t *testing.T, name, filesystem string) (block int64) {
	t.Helper()
	for _, word := range strings.Fields(output(t, "debugfs", "-R", "blocks "+name, filesystem)) { // behind debugfs' version
		if _, err := fmt.Sscan(word, &block); err == nil && block > 4 {
			return block
		}
	}
	t.Fatalf("no block of %s", name)
	return 0
}

// TestChangedRoot has the host change ciphertext of a root that mounts, and of one that
// does not.
func TestChangedRoot(t *testing.T) {
	t.Parallel()
	c := small(t, "debian")
	bundle := registered(t, "small", c)
	for name, tc := range map[string]struct {
		change func(t *testing.T, s *stolen)
		ends   string
	}{
		"init": {func(t *testing.T, s *stolen) {
			s.damage(t, firstBlock(t, "/usr/sbin/init", smallImage(t, "debian")+"?offset=1048576")*4096)
		}, `hand-over: start /sbin/init: exec format error`},
		"super block": {func(t *testing.T, s *stolen) { s.damage(t, 1024) }, `root: mount the ext4 of device 25[0-9]:0`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, c, bundle)
			var s *stolen
			s, h.disk = steal(t, c)
			tc.change(t, s)
			poweredOff(t, h.boot(t), tc.ends)
		})
	}
}
