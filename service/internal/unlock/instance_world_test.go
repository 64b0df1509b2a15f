package unlock_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// InstanceByID and EnsureInstance stand between service and database.
func (w *world) InstanceByID(_ context.Context, id wire.UUID) (store.Instance, error) {
	if w.lookups != nil {
		return store.Instance{}, w.lookups
	}
	if i := w.instances[id]; i != nil {
		return *i, nil
	}
	return store.Instance{}, store.ErrNotFound
}

func (w *world) EnsureInstance(_ context.Context, i store.Instance, record audit.Record) (store.Instance, error) {
	switch {
	case w.ensuring != nil:
		return store.Instance{}, w.ensuring
	case int64(len(w.instances)) >= w.launch.Image.Instances.Limit:
		return store.Instance{}, store.ErrInstanceLimit
	}
	i.State, i.Enabled, i.Auto = wire.StateNew, true, true
	w.instances[i.ID] = &i
	w.made = append(w.made, record)
	return i, nil
}

// NewShare and OpenShare seal shares by showing them, with their instance.
func (w *world) NewShare(instance wire.UUID) ([]byte, error) {
	return append(instance[:], bytes.Repeat([]byte{7}, wire.KeyShareSize)...), w.sharing
}

func (w *world) OpenShare(instance wire.UUID, sealed []byte) ([]byte, error) {
	share, ok := bytes.CutPrefix(sealed, instance[:])
	if w.sharing != nil || !ok {
		return nil, errors.Join(errors.New("not a share of the instance"), w.sharing)
	}
	return bytes.Clone(share), nil
}

// vm is an instance with what its disk holds.
type vm struct {
	*store.Instance
	secret *guesttest.Secret
	key    []byte
}

// instance makes an instance of the image, which has instances from then on.
func (w *world) instance(t *testing.T, state wire.InstanceState) *vm {
	t.Helper()
	w.launch.Image.Instances = wire.InstanceSettings{Mode: wire.InstancesNamed, Generation: wire.GenerationReport}
	i := &store.Instance{ID: wire.NewUUID(), Image: w.image.ID, State: state, Enabled: true}
	i.Name = "vm-" + i.ID.String()
	var err error
	if i.ShareSealed, err = w.NewShare(i.ID); err != nil {
		t.Fatal(err)
	}
	v := &vm{Instance: i, secret: w.image.NewSecret(t, i.ID)}
	v.key = w.image.VolumeKey(t, i.ID, v.secret, i.ShareSealed[len(i.ID):])
	if state != wire.StateNew {
		i.Sealed = v.secret.Hash()
	}
	if state == wire.StateReady {
		i.Generation = 5
	}
	w.instances[i.ID] = i
	return v
}

// boot launches an instance from its disk.
func (w *world) boot(t *testing.T, v *vm) *guesttest.Guest {
	t.Helper()
	g := w.guest(t)
	g.Report.HostData = wire.HostData(v.ID)
	if v.State != wire.StateNew {
		g.Disk.Sealed = [][]byte{v.secret.Sealed}
	}
	if v.State == wire.StateReady {
		w.shows(t, g, v, v.Generation)
		g.SealedVMK = bytes.Repeat([]byte{0xEE}, wire.SealedVMKSize) // nobody looks at it
	}
	return g
}

// shows has the disk of a guest show generations.
func (w *world) shows(t *testing.T, g *guesttest.Guest, v *vm, generations ...uint64) {
	t.Helper()
	g.Disk.Generations = nil
	for _, n := range generations {
		g.Disk.Generations = append(g.Disk.Generations, w.image.Generation(t, v.ID, v.key, n))
	}
}

// grant unlocks, and returns what the guest is given.
func (w *world) grant(t *testing.T, g *guesttest.Guest) (*wire.Grant, []byte) {
	t.Helper()
	request := g.Request(t, w.service.Challenge().Nonce)
	grant, err := w.unlock(t, request)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := g.Open(request, grant, w.identity.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return grant, keys
}

// denies wants a guest to be denied.
func (w *world) denies(t *testing.T, g *guesttest.Guest, want audit.Reason) audit.Entry {
	t.Helper()
	grant, err := w.unlock(t, g.Request(t, w.service.Challenge().Nonce))
	w.checkDenied(t, grant, err, want)
	return w.records[len(w.records)-1]
}

const hour = time.Hour
