package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func readRoot(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReleasedImage: the image of a release is built on the base that is given, by
// digest and never by a tag, is signed and says what it was made of.
func TestReleasedImage(t *testing.T) {
	for _, from := range regexp.MustCompile(`(?m)^FROM .*$`).FindAllString(readRoot(t, "deploy/Dockerfile.release"), -1) {
		if from != "FROM ${BASE_IMAGE}" && !regexp.MustCompile(`@sha256:[0-9a-f]{64}( |$)`).MatchString(from) {
			t.Errorf("deploy/Dockerfile.release: %s: the base is not named by digest", from)
		}
	}
	if strings.Contains(readRoot(t, "deploy/Dockerfile.release"), "ARG BASE_IMAGE=") {
		t.Error("deploy/Dockerfile.release: the base has a default, which nobody has checked")
	}
	release := readRoot(t, ".goreleaser.yml")
	for _, line := range []string{
		`- scripts/base-image "{{ .Env.BASE_IMAGE }}"`, `BASE_IMAGE: "{{ .Env.BASE_IMAGE }}"`, "--provenance=mode=max", "docker_signs:", "cmd: cosign",
	} {
		if !strings.Contains(release, line) {
			t.Errorf(".goreleaser.yml has no %s", line)
		}
	}
	digest := "@sha256:" + strings.Repeat("0a", 32)
	for base, good := range map[string]bool{
		"debian" + digest: true, "registry.example.com:5000/base/debian" + digest: true,
		"": false, "debian": false, "debian:trixie-slim": false, "debian@sha256:0a": false, digest: false,
		"debian" + digest + "0a": false, "debian" + digest + " x": false, "debian\ndebian" + digest: false,
	} {
		if err := exec.CommandContext(t.Context(), filepath.Join(root, "scripts/base-image"), base).Run(); (err == nil) != good {
			t.Errorf("base image %q: %v", base, err)
		}
	}
	for _, file := range []string{"deploy/Dockerfile", "deploy/Dockerfile.release"} {
		if !strings.Contains(readRoot(t, file), `CMD ["/usr/bin/snpguard-service", "--health"]`) {
			t.Errorf("%s has no health check", file)
		}
	}
}

// TestUnit: the unit hands over the KEK by the name under which the service looks
// for it, and a missing one does not keep it from starting: that is so for a name
// without a path (systemd.exec(5), LoadCredential=).
func TestUnit(t *testing.T) {
	name := regexp.MustCompile(`CredentialKEK = "([^"]+)"`).FindStringSubmatch(readRoot(t, "service/internal/config/credential.go"))
	if name == nil || !strings.Contains(readRoot(t, "deploy/snpguard-service.service"), "\nLoadCredential="+name[1]+"\n") {
		t.Errorf("the unit does not load %v", name)
	}
}
