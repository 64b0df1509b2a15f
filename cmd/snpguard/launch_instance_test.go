package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// fakeInstances is a service that has these instances and knows nothing else.
func fakeInstances(t *testing.T, instances ...wire.Instance) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := wire.InstanceList{Instances: []wire.Instance{}}
		for _, i := range instances {
			if deleted := r.URL.Query().Get("deleted") == "true"; r.URL.Path == wire.PathInstances && deleted == (i.DeletedAt != nil) {
				list.Instances = append(list.Instances, i)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(list) //nolint:errcheck // the program says so
	}))
	t.Cleanup(server.Close)
	login := &client.Login{
		URL: server.URL, CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), Token: "t",
		IdentityKey: launchtest.Identity().Public().(ed25519.PublicKey), IngestionKey: make([]byte, wire.PublicKeySize),
	}
	if err := login.Write("login.json"); err != nil {
		t.Fatal(err)
	}
	t.Setenv(client.LoginVariable, "login.json")
}

// launchDry asks for the command of a launch.
func launchDry(t *testing.T, flags ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, said bytes.Buffer
	code = run(t.Context(), append([]string{"launch", "--image", "disk", "--bundle", "bundle", "--cbitpos", "51"}, flags...), strings.NewReader(""), &out, &said)
	return code, out.String(), said.String()
}

// launchFiles leaves a bundle and a disk in the working directory.
func launchFiles(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, data := range map[string][]byte{
		"bundle": launchtest.Bundle(t, launchtest.Release{Kernel: launchtest.Kernel("here\n", launchtest.PowerOff), Genuine: true}), "disk": make([]byte, 1<<20),
	} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLaunchInstanceByName asks the service which instance it is, and launches none that
// could not be given its key.
func TestLaunchInstanceByName(t *testing.T) {
	launchFiles(t)
	image, err := wire.ParseUUID("11223344-5566-4788-8900-000000000000")
	if err != nil {
		t.Fatal(err)
	}
	now, id := time.Now(), wire.UUID{0xAB, 15: 1}
	fakeInstances(t,
		wire.Instance{ID: id, Name: "web-1", ImageID: image, Enabled: true},
		wire.Instance{ID: wire.NewUUID(), Name: "off", ImageID: image},
		wire.Instance{ID: wire.NewUUID(), Name: "gone", ImageID: image, Enabled: true, DeletedAt: &now},
		wire.Instance{ID: wire.NewUUID(), Name: "other", ImageID: wire.NewUUID(), ImageName: "ubuntu", Enabled: true},
	)
	data := wire.HostData(id)
	encoded := base64.StdEncoding.EncodeToString(data[:])
	for _, format := range []struct{ flags, want string }{{"--dry-run", ",host-data=" + encoded}, {"--format=libvirt", "<hostData>" + encoded + "</hostData>"}} {
		if code, out, said := launchDry(t, format.flags, "--instance", "web-1"); code != 0 || !strings.Contains(out, format.want) {
			t.Errorf("%s: exit code %d, no %s in %s\n%s", format.flags, code, format.want, out, said)
		}
		if code, out, said := launchDry(t, format.flags); code != 0 || strings.Contains(strings.ToLower(out), "host") {
			t.Errorf("%s without an instance: exit code %d, %s\n%s", format.flags, code, out, said)
		}
	}
	for name, want := range map[string]string{
		"off": "instance off is disabled, and is given no key", "gone": "instance gone is deleted, and is given no key",
		"other":   "instance other is one of image ubuntu (",
		"unknown": `instance "unknown" does not exist`,
	} {
		code, out, said := launchDry(t, "--dry-run", "--instance", name)
		if code != exitEnvironment || out != "" || !strings.Contains(said, want) {
			t.Errorf("%s: exit code %d, %q, %s", name, code, out, said)
		}
	}
}
