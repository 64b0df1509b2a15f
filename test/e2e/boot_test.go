//go:build e2e

package e2e

import (
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

// Times that leave room for emulation on a busy machine.
const (
	untilAgent = 4 * time.Minute
	untilLogin = 20 * time.Minute
)

var bundles once[string]

// variants are the sizes that the tests launch.
const variantType = "EPYC-Milan"

// registered registers a converted image and returns its bundle.
func registered(t testing.TB, name string, c *conversion, flags ...string) string {
	t.Helper()
	return bundles.get(c.Image, func() string {
		bundle := filepath.Join(filepath.Dir(c.Staging), "launch-artifacts.tar.gz")
		args := []string{"register", "--staging", c.Staging, "--name", name, "--vcpus", "2", "--vcpu-type", variantType, "--bundle", bundle}
		snpguard(t, append(args, flags...)...)
		return bundle
	})
}

// boot launches an image, simulated.
func boot(t testing.TB, c *conversion, bundle string, flags ...string) *vm.VM {
	t.Helper()
	args := []string{
		program("snpguard"), "launch", "--image", c.Image, "--bundle", bundle, "--memory", "1G",
		"--simulate", "--sim-state", theService(t).simState,
	}
	return start(t, append(args, flags...))
}

// expect waits for something on the console.
func expect(t testing.TB, v *vm.VM, pattern string, within time.Duration) []string {
	t.Helper()
	found, err := v.Expect(pattern, within)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// prompt waits for the login prompt, which getty writes in pieces.
func prompt(t testing.TB, v *vm.VM) {
	t.Helper()
	if _, err := v.Prompt(`localhost login:`, 20*time.Second, untilLogin); err != nil {
		t.Fatal(err)
	}
}

// login waits for the login prompt, with nothing that failed on the way.
func login(t testing.TB, v *vm.VM) {
	t.Helper()
	prompt(t, v)
	if failed := regexp.MustCompile(`.*FAILED.*`).FindString(v.Log()); failed != "" {
		t.Errorf("on the way: %s", failed)
	}
}

// TestFirstBoot boots a real image with the distribution's own initrd to its login
// prompt.
func TestFirstBoot(t *testing.T) {
	t.Parallel()
	c := withInitrd(t, "debian", "distribution")
	v := boot(t, c, registered(t, "distribution", c), "--snapshot")
	expect(t, v, `snpguard: .* hand-over: to /init`, untilAgent)
	login(t, v)
}
