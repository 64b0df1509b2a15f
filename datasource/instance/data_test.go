package instance

import (
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func TestConfigure(t *testing.T) {
	id := wire.NewUUID().String()
	for name, tc := range map[string]struct {
		block map[string]any
		ok    bool
	}{
		"nothing":  {nil, false},
		"both":     {map[string]any{"id": id, "name": "web-1"}, false},
		"name":     {map[string]any{"name": "web-1"}, true},
		"no label": {map[string]any{"name": "Web 1"}, false},
		"id":       {map[string]any{"id": id}, true},
		"not one":  {map[string]any{"id": "web-1"}, false},
		"unknown":  {map[string]any{"id": option.Placeholder}, true},
		"name, id": {map[string]any{"name": id}, false},
	} {
		if err := new(Datasource).Configure(tc.block); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExecute asks a service that knows two instances, one of them deleted.
func TestExecute(t *testing.T) {
	there := wire.Instance{
		ID: wire.NewUUID(), Name: "web-1", ImageID: wire.NewUUID(), ImageName: "debian-13", State: wire.StateReady, Enabled: true,
		HostData: strings.Repeat("0a", 32),
	}
	gone := there
	gone.ID, gone.Name, gone.DeletedAt = wire.NewUUID(), "web-2", new(time.Time)
	key, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	identity, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	info := wire.PublicInfo{IdentityKey: identity, IngestionKey: key.Public().Bytes()}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		var answer any = wire.InstanceList{Instances: []wire.Instance{there}}
		switch {
		case r.URL.Path == wire.PathPublicInfo:
			answer = info
		case r.URL.Query().Get("deleted") == "true":
			answer = wire.InstanceList{Instances: []wire.Instance{gone}}
		case strings.HasSuffix(r.URL.Path, there.ID.String()):
			answer = there
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	for name, tc := range map[string]struct {
		block map[string]any
		err   string
	}{
		"name": {map[string]any{"name": "web-1"}, ""}, "id": {map[string]any{"id": there.ID.String()}, ""},
		"deleted": {map[string]any{"name": "web-2"}, "was deleted"}, "none": {map[string]any{"name": "web-3"}, "does not exist"},
	} {
		d := new(Datasource)
		tc.block["service_url"], tc.block["ca_file"], tc.block["token"] = server.URL, ca, "snpg_x"
		if err := d.Configure(tc.block); err != nil {
			t.Fatal(err)
		}
		value, err := d.Execute()
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for field, want := range map[string]string{
			"id": there.ID.String(), "name": "web-1", "image_id": there.ImageID.String(), "image_name": "debian-13", "state": "ready", "host_data": there.HostData,
		} {
			if got := value.GetAttr(field).AsString(); got != want {
				t.Errorf("%s: %s is %q, want %q", name, field, got, want)
			}
		}
		if !value.GetAttr("enabled").True() {
			t.Error("it is disabled")
		}
	}
}
