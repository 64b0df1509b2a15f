package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
)

// vm is an instance with what its disk keeps.
type vm struct {
	image   *registered
	host    *guesttest.Host
	row     *wire.Instance
	disk    wire.InstanceDisk
	key     []byte // of its volume
	receipt []byte
}

// at is a service that it talks to.
type at struct {
	client *client.Client
	login  *client.Login
}

// boot launches it and returns the guest, and the keys that it was granted.
func (v *vm) boot(t *testing.T, s at, want wire.InstanceState) (*guesttest.Guest, []byte) {
	t.Helper()
	g := v.image.launch(t, v.host)
	g.Report.HostData, g.Disk = wire.HostData(v.row.ID), v.disk
	challenge, err := s.client.Challenge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request := g.Request(t, challenge.Nonce)
	grant, err := s.client.Unlock(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := g.Open(request, grant, s.login.IdentityKey)
	if err != nil || grant.State != want {
		t.Fatalf("granted in state %s, %v; want %s", grant.State, err, want)
	}
	return g, keys
}

// call makes a call of the boot and checks the answer as the agent does.
func (s at) call(t *testing.T, g *guesttest.Guest, call wire.Call, body, out any) (reportData [64]byte) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	challenge, err := s.client.Challenge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request, err := g.NewBootCall(call, challenge.Nonce, encoded)
	if err != nil {
		t.Fatal(err)
	}
	response := (&runningGuest{s.client, s.login, g}).post(t, call.Path(), request)
	defer response.Body.Close()
	var answer wire.GuestAnswer
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", response.StatusCode, err)
	}
	reportData = wire.CallBinding{
		Nonce: request.Nonce, Image: g.Image, Instance: wire.HostInstance(g.Report.HostData), Body: sha256.Sum256(request.Body),
	}.ReportData(call)
	if !ed25519.Verify(s.login.IdentityKey, wire.AnswerTranscript(call, reportData, answer.Body), answer.Signature) {
		t.Fatal("the answer is not signed by the service")
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		t.Fatal(err)
	}
	return reportData
}

// claim makes a secret, and claims the instance by it.
func (v *vm) claim(t *testing.T, s at) *guesttest.Guest {
	t.Helper()
	g, keys := v.boot(t, s, wire.StateNew)
	if !bytes.Equal(keys, v.image.VMK) {
		t.Fatal("a new instance was not given the golden key")
	}
	secret := v.image.NewSecret(t, v.row.ID)
	v.disk.Sealed = [][]byte{secret.Sealed}
	key, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	var answer wire.ClaimAnswer
	data := s.call(t, g, wire.CallClaim, wire.ClaimRequest{Sealed: secret.Sealed, PublicKey: key.Public().Bytes()}, &answer)
	share, err := key.Open(wire.ShareInfo(data), answer.Share)
	if err != nil {
		t.Fatal(err)
	}
	v.key, v.receipt = v.image.VolumeKey(t, v.row.ID, secret, share), answer.Receipt
	return g
}

// reach writes a generation to the disk, and tells the service by the call of its state.
func (v *vm) reach(t *testing.T, s at, g *guesttest.Guest, call wire.Call, generation uint64) {
	t.Helper()
	v.disk.Generations = []wire.Generation{v.image.Generation(t, v.row.ID, v.key, generation)}
	var body any = wire.CommitRequest{Generation: generation}
	if call == wire.CallReady {
		sum := sha256.Sum256(v.disk.Sealed[0])
		body = wire.ReadyRequest{Sealed: sum[:], Generation: generation, Recovery: []byte("age")}
	}
	var answer wire.InstanceAnswer
	s.call(t, g, call, body, &answer)
	if answer.State != wire.StateReady || answer.Generation != generation || answer.Instance != v.row.ID {
		t.Fatalf("answered %+v", answer)
	}
}

// row is the instance as the service tells of it.
func (s at) row(t *testing.T, v *vm) *wire.Instance {
	t.Helper()
	row, err := s.client.Instance(t.Context(), v.row.ID)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// newVM creates an instance of a new image.
func newVM(t *testing.T, s at, host *guesttest.Host) *vm {
	t.Helper()
	image := register(t, s.client, s.login.IngestionKey, func(r *wire.Registration) {
		r.Instances = &wire.InstanceSettings{Mode: wire.InstancesNamed, Generation: wire.GenerationReport}
	})
	row, err := s.client.CreateInstance(t.Context(), wire.InstanceCreation{ImageID: image.ID, Name: "web-1"})
	if err != nil {
		t.Fatal(err)
	}
	return &vm{image: image, host: host, row: row}
}

// saved copies what a service keeps, as an operator does who makes a backup.
func saved(t *testing.T, data string) string {
	t.Helper()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.Mkdir(backup, 0o700); err != nil {
		t.Fatal(err)
	}
	p := launch(t, "--data", data, "--backup", filepath.Join(backup, "snpguard.db"))
	if <-p.waited; p.exitedState != nil {
		t.Fatalf("backup: %v\n%s", p.exitedState, p.log.String())
	}
	for _, name := range []string{"artifacts", "kek"} {
		copyTree(t, filepath.Join(data, name), filepath.Join(backup, name))
	}
	return backup
}

// restored starts a service from a backup.
func restored(t *testing.T, s *simulation, backup string, l *client.Login) at {
	t.Helper()
	login := *l
	login.URL = start(t, s.flags("--data", backup)...).url
	c, err := login.Client()
	if err != nil {
		t.Fatal(err)
	}
	return at{c, &login}
}

// TestRestoredInstances restores a service to the day before an instance was claimed,
// and to one on which it had an older generation. Neither locks its owner out, and
// neither gives anybody another key.
func TestRestoredInstances(t *testing.T) {
	s, data := simulate(t), filepath.Join(t.TempDir(), "data")
	p := start(t, s.flags("--data", data)...)
	c, l := login(t, p)
	now := at{c, l}
	v := newVM(t, now, s.host)
	created := saved(t, data)

	v.reach(t, now, v.claim(t, now), wire.CallReady, 1)
	ready := saved(t, data)
	for generation := uint64(2); generation <= 3; generation++ {
		g, keys := v.boot(t, now, wire.StateReady)
		if !bytes.Equal(keys, v.key) {
			t.Fatal("a ready instance was given another key")
		}
		v.reach(t, now, g, wire.CallCommit, generation)
	}
	p.kill()

	t.Run("older generation", func(t *testing.T) {
		older, v := restored(t, s, ready, l), *v
		if row := older.row(t, &v); row.Generation != 1 {
			t.Fatalf("the backup has generation %d", row.Generation)
		}
		g, keys := v.boot(t, older, wire.StateReady)
		if !bytes.Equal(keys, v.key) {
			t.Error("another key")
		}
		v.reach(t, older, g, wire.CallCommit, 4)
	})
	t.Run("before the claim", func(t *testing.T) {
		older, v := restored(t, s, created, l), *v
		// The guest is given the golden key, finds no file system under it and powers off.
		v.boot(t, older, wire.StateNew)
		sum := sha256.Sum256(v.disk.Sealed[0])
		forged := bytes.Clone(v.receipt)
		forged[0]++
		if _, err := older.client.AdoptInstance(t.Context(), v.row.ID, wire.InstanceAdoption{Sealed: sum[:], Receipt: forged}); err == nil {
			t.Error("a forged receipt was taken")
		}
		adopted, err := older.client.AdoptInstance(t.Context(), v.row.ID, wire.InstanceAdoption{Sealed: sum[:], Receipt: v.receipt})
		if err != nil || adopted.State != wire.StateClaimed {
			t.Fatalf("adopted %+v, %v", adopted, err)
		}
		g, keys := v.boot(t, older, wire.StateClaimed)
		if !bytes.Equal(keys, append(bytes.Clone(v.image.VMK), v.key...)) {
			t.Error("other keys")
		}
		v.reach(t, older, g, wire.CallReady, 4)
		if row := older.row(t, &v); row.State != wire.StateReady || row.Generation != 4 {
			t.Errorf("the instance is %+v", row)
		}
	})
}
