package keyring_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
)

// rotate seals all secrets anew, as a store does.
func (m *memory) rotate(t *testing.T, r keyring.Rotation) {
	t.Helper()
	for name, sealed := range m.secrets {
		renewed, err := r.Secret(name, sealed)
		if err != nil {
			t.Fatal(err)
		}
		m.secrets[name] = renewed
	}
}

func TestRotation(t *testing.T) {
	secrets, image := &memory{}, wire.NewUUID()
	r := keyring.Rotation{From: newKEK(t, 1), To: newKEK(t, 2)}
	before, err := keyring.Open(t.Context(), secrets, r.From)
	if err != nil {
		t.Fatal(err)
	}
	keys, sealed, err := r.From.NewImageKeys(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Check(t.Context(), secrets), r.From.Fits(t.Context(), secrets)); err != nil {
		t.Fatal(err)
	}
	secrets.rotate(t, r)
	after, err := keyring.Open(t.Context(), secrets, r.To)
	if err != nil || !after.Identity.Equal(before.Identity) || !after.Authority.Certificate.Equal(before.Authority.Certificate) {
		t.Errorf("the keys changed: %v", err)
	}
	id, author, err := r.ImageKeys(image, sealed.ID, sealed.Author)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := r.To.OpenImageKeys(image, id, author); err != nil || !opened.ID.Equal(keys.ID) || !opened.Author.Equal(keys.Author) {
		t.Errorf("the image's keys changed: %v", err)
	}
	instance := wire.NewUUID()
	oldShare, err := r.From.NewShare(instance)
	if err != nil {
		t.Fatal(err)
	}
	newShare, err := r.Share(instance, oldShare)
	if err != nil {
		t.Fatal(err)
	}
	was, wasErr := r.From.OpenShare(instance, oldShare)
	is, isErr := r.To.OpenShare(instance, newShare)
	if wasErr != nil || isErr != nil || !bytes.Equal(was, is) {
		t.Errorf("the instance's share changed: %v, %v", wasErr, isErr)
	}
	for name, err := range map[string]error{
		"old KEK, share":      func() error { _, err := r.From.OpenShare(instance, newShare); return err }(),
		"another instance":    func() error { _, err := r.Share(wire.NewUUID(), oldShare); return err }(),
		"share sealed anew":   func() error { _, err := r.Share(instance, newShare); return err }(),
		"old KEK, keys":       r.From.Fits(t.Context(), secrets),
		"old KEK, image keys": func() error { _, err := r.From.OpenImageKeys(image, id, author); return err }(),
		"another image":       func() error { _, _, err := r.ImageKeys(wire.NewUUID(), sealed.ID, sealed.Author); return err }(),
		"swapped keys":        func() error { _, _, err := r.ImageKeys(image, sealed.Author, sealed.ID); return err }(),
		"sealed anew already": func() error { _, _, err := r.ImageKeys(image, id, author); return err }(),
	} {
		if !errors.Is(err, keyring.ErrWrongKEK) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRotationRefuses(t *testing.T) {
	secrets := &memory{}
	one, two, three := newKEK(t, 1), newKEK(t, 2), newKEK(t, 3)
	if err := (keyring.Rotation{From: one, To: two}).Check(t.Context(), secrets); err == nil {
		t.Error("there are no keys yet")
	}
	if err := one.Fits(t.Context(), secrets); err == nil {
		t.Error("it fits no keys")
	}
	if _, err := keyring.Open(t.Context(), secrets, one); err != nil {
		t.Fatal(err)
	}
	if err := (keyring.Rotation{From: one, To: two}).Check(t.Context(), secrets, "missing"); err == nil {
		t.Error("a secret is missing")
	}
	for name, tc := range map[string]struct {
		r    keyring.Rotation
		want error
	}{
		"the same KEK":  {keyring.Rotation{From: one, To: newKEK(t, 1)}, keyring.ErrKEKFile},
		"wrong old KEK": {keyring.Rotation{From: three, To: two}, keyring.ErrWrongKEK},
		"done already":  {keyring.Rotation{From: three, To: one}, keyring.ErrRotated},
	} {
		if err := tc.r.Check(t.Context(), secrets); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}
