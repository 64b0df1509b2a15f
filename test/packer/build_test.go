//go:build e2e

package packer

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// vars are the variables of the example for Debian.
func (w *world) vars(more ...string) []string {
	all := append([]string{
		"image=" + w.Image, "checksum=none", "firmware=" + w.Firmware, "service_url=" + w.URL, "fingerprint=" + w.Fingerprint,
		"token=" + w.Token, "vcpus=[1]", `vcpu_types=["EPYC-Milan"]`,
	}, more...)
	var args []string
	for _, v := range all {
		args = append(args, "-var", v)
	}
	return args
}

// TestBuildAndRegister builds the example, and again with and without -force.
func TestBuildAndRegister(t *testing.T) {
	w := newWorld(t)
	build := func(more ...string) *exec.Cmd {
		return packer(w.Dir, append(append([]string{"build"}, more...), append(w.vars(), example(t, "debian.pkr.hcl"))...)...)
	}
	cmd := build()
	cmd.Env = append(cmd.Env, "PACKER_LOG=1")
	if out := succeed(t, cmd); strings.Contains(out, w.Token) {
		t.Error("the token is in Packer's log")
	}
	out := filepath.Join(w.Dir, "output-debian")
	first, err := staging.Read(filepath.Join(out, "staging"))
	if err != nil {
		t.Fatal(err)
	}
	registered, ok := w.images(t)["debian-13"]
	if !ok || registered.ID != first.ImageID || registered.Labels["os"] != "debian-13" {
		t.Errorf("registered is %+v, converted %s", registered, first.ImageID)
	}
	info, err := w.Client.PublicInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(out, "launch-artifacts.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if m, err := bundle.Verify(f, info.IdentityKey); err != nil || m.Image != first.ImageID {
		t.Errorf("bundle: %v, %+v", err, m)
	}

	fail(t, build(), "output-debian exists: name another directory, or replace it with packer build -force")
	fail(t, build("-force"), `already has an image named "debian-13"`)
	if again, err := staging.Read(filepath.Join(out, "staging")); err != nil || again.ImageID != first.ImageID {
		t.Errorf("a refused build has changed the image: %v", err)
	}
	succeed(t, build("-force", "-var", "name=debian-13-b"))
	if second, err := staging.Read(filepath.Join(out, "staging")); err != nil || second.ImageID != w.images(t)["debian-13-b"].ID {
		t.Errorf("-force has not replaced the image: %v", err)
	}
}

// TestParallel builds two images at once.
func TestParallel(t *testing.T) {
	w := newWorld(t)
	body := debian + strings.ReplaceAll(debian, "NAME", "other") + "build {\n  sources = [\"source.snpguard.NAME\", \"source.snpguard.other\"]\n" +
		strings.Replace(registered, `"web"`, "source.name", 1) + "}\n"
	succeed(t, packer(w.Dir, "build", w.fill(t, body)))
	images := w.images(t)
	if len(images) != 2 || images["web"].ID == images["other"].ID {
		t.Errorf("registered are %+v", images)
	}
	for _, name := range []string{"web", "other"} {
		c, err := staging.Read(filepath.Join(w.Dir, "output-"+name, "staging"))
		if err != nil || c.ImageID != images[name].ID {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCancel interrupts a conversion as Ctrl-C does: the signal goes to Packer, the
// plugin and the programs that it runs.
func TestCancel(t *testing.T) {
	w := newWorld(t)
	cmd := packer(w.Dir, "build", w.fill(t, complete))
	said := &sink{want: "Change the root file system", seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-said.seen:
	case err := <-ended:
		t.Fatalf("ended before it could be interrupted: %v\n%s", err, said.all.String())
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.As(err, new(*exec.ExitError)) {
			t.Errorf("got %v", err)
		}
	case <-time.After(2 * time.Minute):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		t.Fatalf("does not end\n%s", said.all.String())
	}
	t.Log(said.all.String())
	for _, pattern := range []string{"*", ".*"} {
		if left := exists(t, filepath.Join(w.Dir, pattern)); len(left) != 0 {
			t.Errorf("left are %q", left)
		}
	}
	if images := w.images(t); len(images) != 0 {
		t.Errorf("registered are %+v", images)
	}
}

// TestServiceDies loses the service while the initrd is uploaded, and registers
// what was kept when it is back.
func TestServiceDies(t *testing.T) {
	w := newWorld(t)
	template := w.fill(t, strings.Replace(complete, `  post-processor "snpguard-register" {
    service_url = "{{.URL}}"`, `  post-processor "snpguard-register" {
    service_url = "`+w.mortal(t, 1<<20)+`"`, 1))
	out := fail(t, packer(w.Dir, "build", template), "the converted image is kept")
	if !strings.Contains(out, "snpguard register --staging") {
		t.Error("nobody is told how to go on")
	}
	c, err := staging.Read(filepath.Join(w.Dir, "output-web", "staging"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(w.Dir, "output-web", "web.qcow2")); err != nil {
		t.Error(err)
	}
	w.kill()
	w.serve(t, strings.TrimPrefix(w.URL, "https://"))
	login := filepath.Join(t.TempDir(), "login.json")
	for _, args := range [][]string{
		{"login", w.URL, "--ca-file", w.CAFile, "--token-file", write(t, t.TempDir(), "token", []byte(w.Token))},
		{"register", "--staging", filepath.Join(w.Dir, "output-web", "staging"), "--name", "later", "--vcpus", "1", "--vcpu-type", "EPYC-Milan"},
	} {
		cmd := exec.Command(filepath.Join(scratch, "snpguard"), args...)
		cmd.Env = append(os.Environ(), "SNPGUARD_LOGIN="+login)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, bytes.TrimSpace(out))
		}
	}
	if w.images(t)["later"].ID != c.ImageID {
		t.Error("what was kept is not what is registered")
	}
}
