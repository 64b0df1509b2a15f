package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
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

func testInstanceSettings(t *testing.T, d Database) {
	s := d.Open(t)
	none, release := create(t, s, Image("none"), Release("f", "k", "i"))
	if want := (wire.InstanceSettings{Mode: wire.InstancesNone, Generation: wire.GenerationReport}); none.Instances != want {
		t.Errorf("got %+v", none.Instances)
	}
	set := func(image wire.UUID, settings wire.InstanceSettings) error {
		return s.SetInstanceSettings(t.Context(), image, settings)
	}
	if err := errors.Join(set(none.ID, Auto()), set(none.ID, none.Instances), set(none.ID, Named())); err != nil {
		t.Error(err)
	}
	if got := launchOf(t, s, none, release).Image.Instances; got != Named() {
		t.Errorf("a launch has %+v", got)
	}
	instance := newInstance(t, s, none.ID, "web-1")
	var mode *store.InstanceModeError
	if err := set(none.ID, none.Instances); !errors.As(err, &mode) || !errors.Is(err, store.ErrChanged) {
		t.Errorf("with an instance: %v", err)
	}
	if err := errors.Join(s.DeleteInstance(t.Context(), instance.ID), set(none.ID, Auto())); err != nil {
		t.Error(err)
	}
	if err := set(none.ID, none.Instances); !errors.As(err, &mode) {
		t.Errorf("with a deleted instance: %v", err)
	}
	golden, goldenRelease := create(t, s, Image("golden"), Release("f", "k", "i"))
	named, namedRelease := withInstances(t, s, Named())
	record(t, s, GrantedOf(launchOf(t, s, golden, goldenRelease)))
	record(t, s, GrantedOf(launchOf(t, s, named, namedRelease)))
	for name, err := range map[string]error{"none to named": set(golden.ID, Named()), "named to none": set(named.ID, golden.Instances)} {
		if !errors.As(err, &mode) {
			t.Errorf("%s, after a grant: %v", name, err)
		}
	}
	if err := errors.Join(set(named.ID, Auto()), set(golden.ID, wire.InstanceSettings{Mode: wire.InstancesNone, Generation: wire.GenerationEnforce})); err != nil {
		t.Error(err)
	}
	for name, tc := range map[string]struct{ err, want error }{
		"no limit": {set(none.ID, wire.InstanceSettings{Mode: wire.InstancesAuto, Generation: wire.GenerationReport}), store.ErrInvalid},
		"nobody":   {set(wire.NewUUID(), Named()), store.ErrNotFound},
		"zero":     {set(none.ID, wire.InstanceSettings{}), store.ErrInvalid},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%s: got %v", name, tc.err)
		}
	}
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

func testInstanceList(t *testing.T, d Database) {
	s := d.Open(t, store.Options{Now: NewClock(time.Second).Now})
	one, _ := withInstances(t, s, Named())
	two, _ := withInstances(t, s, Named())
	byName := map[string]store.Instance{}
	for n, name := range []string{"web-1", "web-2", "mail", "away", "gone"} {
		byName[name] = newInstance(t, s, []store.Image{one, two}[n/3].ID, name)
	}
	if err := errors.Join(
		s.AdoptInstance(t.Context(), byName["web-2"].ID, Hash()), s.SetInstanceEnabled(t.Context(), byName["web-1"].ID, false), s.DeleteInstance(t.Context(), byName["gone"].ID),
	); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		filter store.InstanceFilter
		want   []string
	}{
		"all":         {store.InstanceFilter{}, []string{"away", "mail", "web-2", "web-1"}},
		"image":       {store.InstanceFilter{Image: one.ID}, []string{"mail", "web-2", "web-1"}},
		"new":         {store.InstanceFilter{State: wire.StateNew}, []string{"away", "mail", "web-1"}},
		"claimed":     {store.InstanceFilter{State: wire.StateClaimed}, []string{"web-2"}},
		"new of two":  {store.InstanceFilter{State: wire.StateNew, Image: two.ID}, []string{"away"}},
		"search":      {store.InstanceFilter{Search: "WEB"}, []string{"web-2", "web-1"}},
		"percent":     {store.InstanceFilter{Search: "%"}, nil},
		"in an image": {store.InstanceFilter{Search: "a", Image: two.ID}, []string{"away"}},
		"of a state":  {store.InstanceFilter{Search: "web", State: wire.StateNew, Image: one.ID}, []string{"web-1"}},
		"deleted":     {store.InstanceFilter{Deleted: true}, []string{"gone"}},
		"none":        {store.InstanceFilter{Deleted: true, Image: one.ID}, nil},
		"no state":    {store.InstanceFilter{State: "\x00"}, nil},
	} {
		page, err := s.ListInstances(t.Context(), tc.filter, "", 0)
		var got []string
		for _, i := range page.Items {
			got = append(got, i.Name)
		}
		if err != nil || !slices.Equal(got, tc.want) || page.Next != "" {
			t.Errorf("%s: got %q, next %q, %v, want %q", name, got, page.Next, err, tc.want)
		}
	}
	for name, tc := range map[string]struct {
		image wire.UUID
		want  store.InstanceCounts
	}{
		"all": {wire.UUID{}, store.InstanceCounts{New: 3, Claimed: 1, Disabled: 1, Deleted: 1}},
		"one": {one.ID, store.InstanceCounts{New: 2, Claimed: 1, Disabled: 1}},
		"two": {two.ID, store.InstanceCounts{New: 1, Deleted: 1}},
	} {
		if got, err := s.CountInstances(t.Context(), tc.image); err != nil || got != tc.want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func testInstancePages(t *testing.T, d Database) {
	now := time.Now()
	s := d.Open(t, store.Options{Now: func() time.Time { return now }})
	image, _ := withInstances(t, s, Named())
	const instances = 7
	for i := range instances {
		now = now.Add(time.Duration(i%2) * time.Second) // pairs of the same age
		newInstance(t, s, image.ID, fmt.Sprint("web-", i))
	}
	for _, filter := range []store.InstanceFilter{{}, {Image: image.ID}, {State: wire.StateNew, Search: "web"}} {
		for _, limit := range []int{1, 3, instances, 0} {
			seen, cursor := map[string]bool{}, ""
			for pages := 0; ; pages++ {
				page, err := s.ListInstances(t.Context(), filter, cursor, limit)
				if err != nil || pages > instances {
					t.Fatal(pages, err)
				}
				for _, i := range page.Items {
					seen[i.Name] = true
				}
				if cursor = page.Next; cursor == "" {
					break
				}
			}
			if len(seen) != instances {
				t.Errorf("%+v, limit %d: saw %d instances", filter, limit, len(seen))
			}
		}
	}
	for _, cursor := range []string{"x", strings.Repeat("A", 34)} {
		if _, err := s.ListInstances(t.Context(), store.InstanceFilter{}, cursor, 0); !errors.Is(err, store.ErrCursor) {
			t.Errorf("cursor %q: got %v", cursor, err)
		}
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

// After a reset nothing is left of a claim, but that it does not come back.
func testInstanceReset(t *testing.T, d Database) {
	s := d.Open(t)
	image, release := withInstances(t, s, Named())
	launch := launchOf(t, s, image, release)
	i, other := newInstance(t, s, image.ID, "web-1"), newInstance(t, s, image.ID, "web-2")
	sealed := makeReady(t, s, launch, i.ID, 3)
	if err := s.ResetInstance(t.Context(), i.ID, []byte("another share")); err != nil {
		t.Fatal(err)
	}
	want := i
	want.ShareSealed = []byte("another share")
	if got := read(t, s, i.ID); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, id := range []wire.UUID{i.ID, other.ID} {
		if err := s.AdoptInstance(t.Context(), id, sealed); !errors.Is(err, store.ErrDeleted) || read(t, s, id).State != wire.StateNew {
			t.Errorf("the claim is back: %v", err)
		}
		if _, err := s.RecordInstanceCall(t.Context(), claimCall(launch, id, sealed)); !errors.Is(err, store.ErrDeleted) || read(t, s, id).State != wire.StateNew {
			t.Errorf("the claim is back: %v", err)
		}
	}
	if err := s.ResetInstance(t.Context(), i.ID, []byte("one more")); err != nil { // of a new one
		t.Error(err)
	}
	again := makeReady(t, s, launch, i.ID, 1)
	if err := errors.Join(s.ResetInstance(t.Context(), i.ID, []byte("share")), s.VerifyRows(t.Context())); err != nil {
		t.Error(err)
	}
	if err := s.AdoptInstance(t.Context(), i.ID, again); !errors.Is(err, store.ErrDeleted) {
		t.Errorf("the second claim is back: %v", err)
	}
}

func testInstanceDeleted(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, _ := withInstances(t, s, Named())
	i := newInstance(t, s, image.ID, "web-1")
	if err := s.UndeleteInstance(t.Context(), i.ID); !errors.Is(err, store.ErrChanged) {
		t.Errorf("of one that is not deleted: %v", err)
	}
	if err := s.DeleteInstance(t.Context(), i.ID); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ err, want error }{
		"delete":        {s.DeleteInstance(t.Context(), i.ID), store.ErrChanged},
		"enable":        {s.SetInstanceEnabled(t.Context(), i.ID, true), store.ErrChanged},
		"reset":         {s.ResetInstance(t.Context(), i.ID, []byte("share")), store.ErrChanged},
		"adopt":         {s.AdoptInstance(t.Context(), i.ID, Hash()), store.ErrChanged},
		"restore":       {s.AllowRestore(t.Context(), i.ID, 1), store.ErrChanged},
		"delete no one": {s.DeleteInstance(t.Context(), wire.NewUUID()), store.ErrNotFound},
		"undelete none": {s.UndeleteInstance(t.Context(), wire.NewUUID()), store.ErrNotFound},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, tc.err, tc.want)
		}
	}
	if _, err := s.CreateInstance(t.Context(), Instance(image.ID, i.Name)); !errors.Is(err, store.ErrNameTaken) {
		t.Errorf("its name: %v", err)
	}
	clock.Advance(store.UndoPeriod - time.Second)
	if n, err := s.PurgeInstances(t.Context()); n != 0 || err != nil {
		t.Errorf("%d are gone too early, %v", n, err)
	}
	if err := s.UndeleteInstance(t.Context(), i.ID); err != nil {
		t.Error(err)
	}
	if got := read(t, s, i.ID); !reflect.DeepEqual(got, i) {
		t.Errorf("got %+v, want %+v", got, i)
	}
	if err := s.DeleteInstance(t.Context(), i.ID); err != nil {
		t.Error(err)
	}
	clock.Advance(store.UndoPeriod)
	if err := s.UndeleteInstance(t.Context(), i.ID); !errors.Is(err, store.ErrChanged) {
		t.Errorf("after the day of undo: %v", err)
	}
}

// Shares are destroyed with a record of each, and neither ID nor hash comes back.
func testInstancePurge(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, _ := withInstances(t, s, Named())
	const many = 205 // more than one transaction takes
	var hashes [][32]byte
	var ids []wire.UUID
	for n := range many {
		i := newInstance(t, s, image.ID, fmt.Sprint("web-", n))
		hash := Hash()
		if n == 0 {
			hash = [32]byte{}
		} else if err := s.AdoptInstance(t.Context(), i.ID, hash); err != nil {
			t.Fatal(err)
		}
		ids, hashes = append(ids, i.ID), append(hashes, hash)
		if err := s.DeleteInstance(t.Context(), i.ID); err != nil {
			t.Fatal(err)
		}
	}
	kept := newInstance(t, s, image.ID, "kept")
	clock.Advance(store.UndoPeriod)
	if n, err := s.PurgeInstances(t.Context()); n != many || err != nil {
		t.Errorf("%d are gone, %v", n, err)
	}
	if n, err := s.PurgeInstances(t.Context()); n != 0 || err != nil {
		t.Errorf("%d more are gone, %v", n, err)
	}
	for n, id := range ids {
		if _, err := s.InstanceByID(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%d is there: %v", n, err)
		}
		records, err := s.ListAudit(t.Context(), store.AuditFilter{InstanceID: id}, store.AuditRange{})
		if err != nil || len(records) != 1 || records[0].Reason != audit.ReasonInstanceDestroyed || records[0].ImageID != image.ID || records[0].Details["name"] != fmt.Sprint("web-", n) {
			t.Fatalf("records %+v, %v", records, err)
		}
	}
	again := Instance(image.ID, "web-7") // the name is free
	again.ID = ids[7]
	if _, err := s.CreateInstance(t.Context(), again); !errors.Is(err, store.ErrDeleted) {
		t.Errorf("the ID is back: %v", err)
	}
	newInstance(t, s, image.ID, "web-7")
	if err := s.AdoptInstance(t.Context(), kept.ID, hashes[7]); !errors.Is(err, store.ErrDeleted) {
		t.Errorf("the hash is back: %v", err)
	}
	if err := s.VerifyRows(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.VerifyAudit(t.Context(), 1, nil); err != nil {
		t.Error(err)
	}
	d.exec(t, q(`DELETE FROM instance_tombstones`)...)
	if err := s.VerifyRows(t.Context()); !errors.Is(err, store.ErrTampered) {
		t.Errorf("without tombstones: %v", err)
	}
}

func testInstanceAuto(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := withInstances(t, s, Auto())
	named, _ := withInstances(t, s, Named())
	ensure := func(i store.Instance) (store.Instance, error) {
		return s.EnsureInstance(t.Context(), i, audit.Record{Reason: "instance.created", RequestID: "req"})
	}
	first := Instance(image.ID, "")
	first.ID = wire.UUID{0xAB, 0xCD, 0x01, 0x23, 15: 1}
	got, err := ensure(first)
	if err != nil || got.Name != "auto-abcd0123" || !got.Auto || !got.Enabled || got.State != wire.StateNew {
		t.Fatalf("got %+v, %v", got, err)
	}
	records, err := s.ListAudit(t.Context(), store.AuditFilter{InstanceID: first.ID}, store.AuditRange{})
	if err != nil || len(records) != 1 || records[0].Kind != audit.KindGuest || records[0].Outcome != audit.OutcomeDone || records[0].ImageID != image.ID || records[0].RequestID != "req" {
		t.Errorf("records %+v, %v", records, err)
	}
	other := first
	other.Image, other.ShareSealed = named.ID, []byte("other")
	for _, i := range []store.Instance{first, other} { // it is there: whatever is asked
		if again, err := ensure(i); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("got %+v, %v", again, err)
		}
	}
	second := Instance(image.ID, "")
	second.ID = wire.UUID{0xAB, 0xCD, 0x01, 0x23, 15: 2}
	if got, err := ensure(second); err != nil || got.Name != "auto-abcd0123000000000000000000000002" {
		t.Errorf("got %+v, %v", got, err)
	}
	newInstance(t, s, image.ID, "made-by-hand") // does not count
	third := Instance(image.ID, "")
	if _, err := ensure(third); !errors.Is(err, store.ErrInstanceLimit) {
		t.Errorf("one too many: %v", err)
	}
	if err := s.DeleteInstance(t.Context(), first.ID); err != nil {
		t.Error(err)
	}
	if got, err := ensure(first); err != nil || got.DeletedAt.IsZero() {
		t.Errorf("a deleted one: %+v, %v", got, err)
	}
	if _, err := ensure(third); err != nil {
		t.Errorf("one was deleted: %v", err)
	}
	var mode *store.InstanceModeError
	if _, err := ensure(Instance(named.ID, "")); !errors.As(err, &mode) {
		t.Errorf("named: %v", err)
	}
	if _, err := ensure(Instance(wire.NewUUID(), "")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no image: %v", err)
	}
	if records, err := s.ListAudit(t.Context(), store.AuditFilter{Kind: audit.KindGuest}, store.AuditRange{}); err != nil || len(records) != 3 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

// The instances of an image go with it, and neither they nor their disks come back.
func testInstanceImageDeleted(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := withInstances(t, s, Named())
	other, _ := withInstances(t, s, Named())
	var ids []wire.UUID
	for n := range 3 {
		ids = append(ids, newInstance(t, s, image.ID, fmt.Sprint("web-", n)).ID)
	}
	hash := Hash()
	kept := newInstance(t, s, other.ID, "kept")
	if err := errors.Join(s.AdoptInstance(t.Context(), ids[0], hash), s.DeleteInstance(t.Context(), ids[1])); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteImage(t.Context(), image.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := s.InstanceByID(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		i := Instance(other.ID, "again")
		i.ID = id
		if _, err := s.CreateInstance(t.Context(), i); !errors.Is(err, store.ErrDeleted) {
			t.Errorf("an ID is back: %v", err)
		}
	}
	if err := s.AdoptInstance(t.Context(), kept.ID, hash); !errors.Is(err, store.ErrDeleted) {
		t.Errorf("a hash is back: %v", err)
	}
	if err := s.VerifyRows(t.Context()); err != nil {
		t.Error(err)
	}
}
