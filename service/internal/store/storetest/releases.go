package storetest

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func releaseTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"release round trip": testReleaseRoundTrip,
		"release refusals":   testReleaseRefusals,
		"release bound":      testReleaseBound,
		"release edits":      testReleaseEdits,
		"policy race":        testPolicyRace,
		"find launch":        testFindLaunch,
	}
}

func testReleaseRoundTrip(t *testing.T, d Database) {
	s := d.Open(t, store.Options{Now: NewClock(time.Second).Now})
	image, first := create(t, s, Image("image"), Release("f", "k", "i"))
	want := Release("firmware", "k", "initrd")
	want.Cmdline, want.Policy, want.Provenance = `a="ä\"`, []byte("{ }\x00"), []byte(`{}`)
	want.Variants = nil
	for n := range 30 {
		want.Variants = append(want.Variants, Variant(30-n, "EPYC-Milan"))
	}
	got, err := s.AddRelease(t.Context(), image.ID, want, Present)
	if err != nil {
		t.Fatal(err)
	}
	want.State = wire.StateProposed
	want.ImageID, want.PolicyRevision, want.CreatedAt, want.VariantsHash = image.ID, 1, got.CreatedAt, got.VariantsHash
	for i := range want.Variants {
		want.Variants[i].Position = i
	}
	read, err := s.ReleaseByID(t.Context(), want.ID)
	if err != nil || want.CreatedAt.IsZero() {
		t.Fatal(err)
	}
	for _, got := range []store.Release{got, read} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	bare := Release("firmware", "k", "")
	bare.Initrd = store.ArtifactRef{}
	bare, err = s.AddRelease(t.Context(), image.ID, bare, Present)
	if err != nil {
		t.Fatal(err)
	}
	if read, err := s.ReleaseByID(t.Context(), bare.ID); err != nil || !reflect.DeepEqual(read, bare) {
		t.Errorf("without initrd: got %+v, %v, want %+v", read, err, bare)
	}
	if free, err := s.DeleteRelease(t.Context(), bare.ID); err != nil || len(free) != 0 {
		t.Errorf("without initrd: got %x, %v", free, err)
	}
	listed, err := s.ListReleases(t.Context(), image.ID)
	first.Variants, want.Variants = nil, nil
	if err != nil || !reflect.DeepEqual(listed, []store.Release{want, first}) {
		t.Errorf("got %+v, %v", listed, err)
	}
}

func testReleaseRefusals(t *testing.T, d Database) {
	s := d.Open(t)
	image, first := create(t, s, Image("image"), Release("f", "k", "i"))
	for name, tc := range map[string]struct {
		change func(*store.Release)
		want   error
	}{
		"ID":             {func(r *store.Release) { r.ID = first.ID }, store.ErrExists},
		"no ID":          {func(r *store.Release) { r.ID = wire.UUID{} }, store.ErrInvalid},
		"no firmware":    {func(r *store.Release) { r.Firmware = store.ArtifactRef{} }, store.ErrInvalid},
		"no kernel":      {func(r *store.Release) { r.Kernel = store.ArtifactRef{} }, store.ErrInvalid},
		"no hash":        {func(r *store.Release) { r.Initrd.SHA256 = [32]byte{} }, store.ErrInvalid},
		"negative size":  {func(r *store.Release) { r.Initrd.Size = -1 }, store.ErrInvalid},
		"command line":   {func(r *store.Release) { r.Cmdline = "a\x00" }, store.ErrInvalid},
		"long policy":    {func(r *store.Release) { r.Policy = make([]byte, store.MaxBytes+1) }, store.ErrInvalid},
		"no variants":    {func(r *store.Release) { r.Variants = nil }, store.ErrInvalid},
		"many variants":  {func(r *store.Release) { r.Variants = make([]store.Variant, store.MaxVariants+1) }, store.ErrInvalid},
		"same variants":  {func(r *store.Release) { r.Variants = append(r.Variants, r.Variants[0]) }, store.ErrInvalid},
		"no vCPUs":       {func(r *store.Release) { r.Variants[0].VCPUs = 0 }, store.ErrInvalid},
		"no vCPU type":   {func(r *store.Release) { r.Variants[0].VCPUType = "" }, store.ErrInvalid},
		"vCPU type":      {func(r *store.Release) { r.Variants[0].VCPUType = "\xFF" }, store.ErrInvalid},
		"short ID block": {func(r *store.Release) { r.Variants[0].IDBlock = r.Variants[0].IDBlock[1:] }, store.ErrInvalid},
		"no ID auth":     {func(r *store.Release) { r.Variants[0].IDAuth = nil }, store.ErrInvalid},
	} {
		release := Release("f", "k", "i")
		tc.change(&release)
		if _, err := s.AddRelease(t.Context(), image.ID, release, Present); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
	if _, err := s.AddRelease(t.Context(), wire.NewUUID(), Release("f", "k", "i"), Present); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no image: got %v", err)
	}
	if listed, err := s.ListReleases(t.Context(), image.ID); err != nil || len(listed) != 1 {
		t.Errorf("got %d releases, %v, want the first alone", len(listed), err)
	}
	if _, err := s.ReleaseByID(t.Context(), wire.NewUUID()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown release: got %v", err)
	}
}

func testReleaseBound(t *testing.T, d Database) {
	s := d.Open(t)
	proposals, _ := create(t, s, Image("proposals"), Release("f", "k", "i"))
	for n := range store.MaxProposed + 1 {
		if _, err := s.AddRelease(t.Context(), proposals.ID, Release("f", "k", "i"), Present); (err != nil) != (n == store.MaxProposed) {
			t.Errorf("proposal %d: got %v", n+1, err)
		}
	}
	image, release := create(t, s, Image("image"), Release("f", "k", "i"))
	raw := d.Raw(t)
	for range store.MaxReleases - 1 {
		id := wire.NewUUID()
		if _, err := raw.ExecContext(t.Context(), `INSERT INTO releases SELECT $1, image_id, state, proposed_by, approved_at, approved_by, verified_by,
			decided_at, decided_by, reason, created_at, cmdline,
			firmware_sha256, firmware_size, kernel_sha256, kernel_size, initrd_sha256, initrd_size, guest_policy, guest_svn,
			policy, policy_revision, findings, provenance, variants_hash, mac FROM releases WHERE id = $2`, id[:], release.ID[:]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.AddRelease(t.Context(), image.ID, Release("f", "k", "i"), Present); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("one release too many: got %v", err)
	}
}

func testReleaseEdits(t *testing.T, d Database) {
	s := d.Open(t)
	_, release := create(t, s, Image("image"), Release("f", "k", "i"))
	nobody := wire.NewUUID()
	revision, err := s.UpdateReleasePolicy(t.Context(), release.ID, []byte("new"), 1)
	if err != nil || revision != 2 {
		t.Errorf("got revision %d, %v", revision, err)
	}
	for name, tc := range map[string]struct {
		id       wire.UUID
		policy   string
		revision int64
		want     error
	}{
		"old revision": {release.ID, "x", 1, store.ErrChanged},
		"future":       {release.ID, "x", 3, store.ErrChanged},
		"unknown":      {nobody, "x", 1, store.ErrNotFound},
		"too long":     {release.ID, strings.Repeat("x", store.MaxBytes+1), 2, store.ErrInvalid},
	} {
		if _, err := s.UpdateReleasePolicy(t.Context(), tc.id, []byte(tc.policy), tc.revision); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
	got, err := s.ReleaseByID(t.Context(), release.ID)
	if err != nil || string(got.Policy) != "new" || got.PolicyRevision != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Of many who edit the same revision, one succeeds.
func testPolicyRace(t *testing.T, d Database) {
	s := d.Open(t)
	_, release := create(t, s, Image("image"), Release("f", "k", "i"))
	done := succeeding(t, 8, func(int) error {
		_, err := s.UpdateReleasePolicy(t.Context(), release.ID, []byte("new"), 1)
		return err
	})
	if len(done) != 1 {
		t.Errorf("%d edits of one revision", len(done))
	}
}

func testFindLaunch(t *testing.T, d Database) {
	s := d.Open(t)
	image, release := create(t, s, Image("image"), Release("f", "k", "i"))
	other, foreign := create(t, s, Image("other"), Release("f", "k", "i"))
	image.Labels = nil
	for i := range release.Variants {
		release.Variants[i].IDBlock, release.Variants[i].IDAuth = nil, nil
	}
	launch, err := s.FindLaunch(t.Context(), image.IDKeyDigest, image.AuthorKeyDigest, release.ID)
	if err != nil {
		t.Fatal(err)
	}
	if launch.Seen == (store.Seen{}) || !reflect.DeepEqual(launch, store.Launch{Image: image, Release: release, Seen: launch.Seen}) {
		t.Errorf("got  %+v\nwant %+v %+v", launch, image, release)
	}
	for name, tc := range map[string]struct {
		idKey, authorKey [48]byte
		release          wire.UUID
		want             error
	}{
		"foreign release":    {image.IDKeyDigest, image.AuthorKeyDigest, foreign.ID, store.ErrNoRelease},
		"unknown release":    {image.IDKeyDigest, image.AuthorKeyDigest, wire.NewUUID(), store.ErrNoRelease},
		"foreign author key": {image.IDKeyDigest, other.AuthorKeyDigest, release.ID, store.ErrNoImage},
		"foreign ID key":     {other.IDKeyDigest, image.AuthorKeyDigest, release.ID, store.ErrNoImage},
		"no keys":            {release: release.ID, want: store.ErrNoImage},
	} {
		launch, err := s.FindLaunch(t.Context(), tc.idKey, tc.authorKey, tc.release)
		if !errors.Is(err, tc.want) || !errors.Is(err, store.ErrNotFound) || launch.Release.Variants != nil {
			t.Errorf("%s: got %+v, %v, want %v", name, launch, err, tc.want)
		}
		if errors.Is(err, store.ErrNoRelease) != (launch.Image.ID == image.ID) {
			t.Errorf("%s: got image %s", name, launch.Image.ID)
		}
	}
}
