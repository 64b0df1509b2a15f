package storetest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func instanceTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"instance settings": testInstanceSettings,
		"instance create":   testInstanceCreate,
		"instance refusals": testInstanceRefusals,
		"instance list":     testInstanceList,
		"instance pages":    testInstancePages,
		"instance edits":    testInstanceEdits,
		"instance reset":    testInstanceReset,
		"instance deleted":  testInstanceDeleted,
		"instance purge":    testInstancePurge,
		"instance auto":     testInstanceAuto,
		"instance of image": testInstanceImageDeleted,

		"instance use":         testInstanceUse,
		"instance not named":   testInstanceNotNamed,
		"instance calls":       testInstanceCalls,
		"instance ready":       testInstanceReady,
		"instance call bounds": testInstanceCallBounds,
		"instance cut":         testInstanceCut,
		"instance forged":      testInstanceForged,
		"instance put back":    testInstancePutBack,

		"instance claims race":  testClaimsRace,
		"instance disable race": testInstanceDisableRace,
		"instance auto race":    testAutoRace,
		"instance mode race":    testModeRace,
	}
}

// withInstances registers an image that has these settings.
func withInstances(t *testing.T, s *store.Store, settings wire.InstanceSettings) (store.Image, store.Release) {
	t.Helper()
	image := Image("image " + wire.NewUUID().String())
	image.Instances = settings
	return create(t, s, image, Release("f", "k", "i"))
}

// newInstance makes an instance.
func newInstance(t *testing.T, s *store.Store, image wire.UUID, name string) store.Instance {
	t.Helper()
	i, err := s.CreateInstance(t.Context(), Instance(image, name))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// read returns an instance as it is kept.
func read(t *testing.T, s *store.Store, id wire.UUID) store.Instance {
	t.Helper()
	i, err := s.InstanceByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func testInstanceCreate(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, _ := withInstances(t, s, Named())
	asked := Instance(image.ID, "web-1")
	asked.Auto, asked.State, asked.Generation, asked.Recovery = true, wire.StateReady, 7, []byte("x") // not the caller's to say
	got, err := s.CreateInstance(t.Context(), asked)
	want := store.Instance{
		ID: asked.ID, Image: image.ID, Name: "web-1", Enabled: true, CreatedAt: clock.Now(), CreatedBy: Approver, State: wire.StateNew, ShareSealed: asked.ShareSealed,
	}
	byID, idErr := s.InstanceByID(t.Context(), asked.ID)
	byName, nameErr := s.InstanceByName(t.Context(), "web-1")
	if err := errors.Join(err, idErr, nameErr, s.VerifyRows(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, got := range []store.Instance{got, byID, byName} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	_, idErr = s.InstanceByID(t.Context(), wire.NewUUID())
	_, nameErr = s.InstanceByName(t.Context(), "web-2")
	_, badErr := s.InstanceByName(t.Context(), "\xFF\x00")
	for _, err := range []error{idErr, nameErr, badErr} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
}

func testInstanceRefusals(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := withInstances(t, s, Named())
	none, _ := create(t, s, Image("none"), Release("f", "k", "i"))
	first := newInstance(t, s, image.ID, "first")
	for name, tc := range map[string]struct {
		change func(*store.Instance)
		want   error
	}{
		"name":         {func(i *store.Instance) { i.Name = first.Name }, store.ErrNameTaken},
		"ID":           {func(i *store.Instance) { i.ID = first.ID }, store.ErrExists},
		"no image":     {func(i *store.Instance) { i.Image = wire.NewUUID() }, store.ErrNotFound},
		"image none":   {func(i *store.Instance) { i.Image = none.ID }, store.ErrChanged},
		"zero ID":      {func(i *store.Instance) { i.ID = wire.UUID{} }, store.ErrInvalid},
		"zero image":   {func(i *store.Instance) { i.Image = wire.UUID{} }, store.ErrInvalid},
		"bad name":     {func(i *store.Instance) { i.Name = "Web_1" }, store.ErrInvalid},
		"UUID name":    {func(i *store.Instance) { i.Name = i.ID.String() }, store.ErrInvalid},
		"no share":     {func(i *store.Instance) { i.ShareSealed = nil }, store.ErrInvalid},
		"large share":  {func(i *store.Instance) { i.ShareSealed = make([]byte, store.MaxBytes+1) }, store.ErrInvalid},
		"nobody's":     {func(i *store.Instance) { i.CreatedBy = "" }, store.ErrInvalid},
		"other letter": {func(i *store.Instance) { i.Name = strings.Repeat("x", 64) }, store.ErrInvalid},
	} {
		i := Instance(image.ID, "second")
		tc.change(&i)
		if _, err := s.CreateInstance(t.Context(), i); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
	var mode *store.InstanceModeError
	if _, err := s.CreateInstance(t.Context(), Instance(none.ID, "second")); !errors.As(err, &mode) {
		t.Errorf("got %v", err)
	}
	if counts, err := s.CountInstances(t.Context(), wire.UUID{}); err != nil || counts != (store.InstanceCounts{New: 1}) {
		t.Errorf("got %+v, %v", counts, err)
	}
}

func testInstanceEdits(t *testing.T, d Database) {
	s := d.Open(t)
	image, release := withInstances(t, s, Named())
	i := newInstance(t, s, image.ID, "web-1")
	ready := newInstance(t, s, image.ID, "web-2")
	makeReady(t, s, launchOf(t, s, image, release), ready.ID, 5)
	nobody, hash := wire.NewUUID(), Hash()
	for _, tc := range []struct {
		name      string
		err, want error
	}{
		{"disable", s.SetInstanceEnabled(t.Context(), i.ID, false), nil},
		{"disable nobody", s.SetInstanceEnabled(t.Context(), nobody, false), store.ErrNotFound},
		{"restore of a new one", s.AllowRestore(t.Context(), i.ID, 1), store.ErrChanged},
		{"adopt by zeros", s.AdoptInstance(t.Context(), i.ID, [32]byte{}), store.ErrInvalid},
		{"adopt", s.AdoptInstance(t.Context(), i.ID, hash), nil},
		{"adopt again", s.AdoptInstance(t.Context(), i.ID, hash), store.ErrChanged},
		{"adopt nobody", s.AdoptInstance(t.Context(), nobody, hash), store.ErrNotFound},
		{"restore of a claimed one", s.AllowRestore(t.Context(), i.ID, 1), store.ErrChanged},
		{"restore of nobody", s.AllowRestore(t.Context(), nobody, 1), store.ErrNotFound},
		{"restore 0", s.AllowRestore(t.Context(), ready.ID, 0), store.ErrInvalid},
		{"restore the last", s.AllowRestore(t.Context(), ready.ID, 5), store.ErrInvalid},
		{"restore", s.AllowRestore(t.Context(), ready.ID, 4), nil},
		{"reset without a share", s.ResetInstance(t.Context(), ready.ID, nil), store.ErrInvalid},
		{"reset nobody", s.ResetInstance(t.Context(), nobody, []byte("share")), store.ErrNotFound},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, tc.err, tc.want)
		}
	}
	if got := read(t, s, i.ID); got.Enabled || got.State != wire.StateClaimed || got.Sealed != hash {
		t.Errorf("got %+v", got)
	}
	if got := read(t, s, ready.ID); got.Restore != 4 || time.Until(got.RestoreUntil) < store.RestorePeriod-time.Minute || time.Until(got.RestoreUntil) > store.RestorePeriod {
		t.Errorf("got %+v", got)
	}
	// With a record, or not at all.
	failed := errors.New("failed")
	if _, err := s.Audited(t.Context(), func(ctx context.Context) (audit.Record, error) {
		return audit.Record{}, errors.Join(failed, s.SetInstanceEnabled(ctx, i.ID, true), s.DeleteInstance(ctx, i.ID))
	}); !errors.Is(err, failed) || read(t, s, i.ID).Enabled || !read(t, s, i.ID).DeletedAt.IsZero() {
		t.Errorf("got %v, %+v", err, read(t, s, i.ID))
	}
	if err := s.VerifyRows(t.Context()); err != nil {
		t.Error(err)
	}
}
