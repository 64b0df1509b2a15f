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
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func imageTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"image round trip":   testImageRoundTrip,
		"image refusals":     testImageRefusals,
		"image is atomic":    testImageAtomic,
		"image list filters": testImageFilters,
		"image list pages":   testImagePages,
		"image list orders":  testImageOrders,
		"image edits":        testImageEdits,
	}
}

func testImageRoundTrip(t *testing.T, d Database) {
	now := time.Date(2026, time.November, 23, 12, 0, 0, 123456789, time.UTC)
	s := d.Open(t, store.Options{Now: func() time.Time { return now }})
	want := Image(`Größe "50%" \ ☃`)
	want.Labels = map[string]string{"os": "debian", "größe": "", "empty": ""}
	want.Enabled, want.Simulated = false, true
	want.IDKeySealed, want.AuthorKeySealed = []byte{0, 1, 0xFF}, []byte("\x00")
	want.Instances = Auto()
	got, _ := create(t, s, want, Release("f", "k", "i"))
	want.CreatedAt, want.PolicyRevision = now.Truncate(time.Microsecond), 1
	byID, err := s.ImageByID(t.Context(), want.ID)
	byName, nameErr := s.ImageByName(t.Context(), want.Name)
	if err := errors.Join(err, nameErr); err != nil {
		t.Fatal(err)
	}
	for _, got := range []store.Image{got, byID, byName} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	_, err = s.ImageByID(t.Context(), wire.NewUUID())
	_, nameErr = s.ImageByName(t.Context(), "other")
	_, badErr := s.ImageByName(t.Context(), "bad \xFF\x00")
	for _, err := range []error{err, nameErr, badErr} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
}

func testImageRefusals(t *testing.T, d Database) {
	s := d.Open(t)
	first, release := create(t, s, Image("first"), Release("f", "k", "i"))
	many := map[string]string{}
	for i := range store.MaxLabels + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for name, tc := range map[string]struct {
		change func(*store.Image, *store.Release)
		want   error
	}{
		"name":             {func(i *store.Image, _ *store.Release) { i.Name = first.Name }, store.ErrNameTaken},
		"ID":               {func(i *store.Image, _ *store.Release) { i.ID = first.ID }, store.ErrExists},
		"keys":             {func(i *store.Image, _ *store.Release) { copyKeys(i, first) }, store.ErrExists},
		"release ID":       {func(_ *store.Image, r *store.Release) { r.ID = release.ID }, store.ErrExists},
		"no ID":            {func(i *store.Image, _ *store.Release) { i.ID = wire.UUID{} }, store.ErrInvalid},
		"no name":          {func(i *store.Image, _ *store.Release) { i.Name = "" }, store.ErrInvalid},
		"long name":        {func(i *store.Image, _ *store.Release) { i.Name = strings.Repeat("x", store.MaxName+1) }, store.ErrInvalid},
		"name with NUL":    {func(i *store.Image, _ *store.Release) { i.Name = "a\x00b" }, store.ErrInvalid},
		"name not UTF-8":   {func(i *store.Image, _ *store.Release) { i.Name = "a\xFFb" }, store.ErrInvalid},
		"many labels":      {func(i *store.Image, _ *store.Release) { i.Labels = many }, store.ErrInvalid},
		"empty label":      {func(i *store.Image, _ *store.Release) { i.Labels = map[string]string{"": "x"} }, store.ErrInvalid},
		"bad label":        {func(i *store.Image, _ *store.Release) { i.Labels = map[string]string{"x": "\x00"} }, store.ErrInvalid},
		"instances":        {func(i *store.Image, _ *store.Release) { i.Instances.Mode = "some" }, store.ErrInvalid},
		"instance limit":   {func(i *store.Image, _ *store.Release) { i.Instances = Auto(); i.Instances.Limit = 0 }, store.ErrInvalid},
		"no ID key":        {func(i *store.Image, _ *store.Release) { i.IDKeySealed = nil }, store.ErrInvalid},
		"large author key": {func(i *store.Image, _ *store.Release) { i.AuthorKeySealed = make([]byte, store.MaxBytes+1) }, store.ErrInvalid},
	} {
		image, release := Image("second"), Release("f", "k", "i")
		tc.change(&image, &release)
		if _, _, err := s.CreateImage(t.Context(), image, release, Present); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
	if _, err := s.ImageByName(t.Context(), "second"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a refused image is there: %v", err)
	}
	// One key alone may be another image's.
	image := Image("second")
	image.IDKeyDigest = first.IDKeyDigest
	create(t, s, image, Release("f", "k", "i"))
}

func copyKeys(i *store.Image, from store.Image) {
	i.IDKeyDigest, i.AuthorKeyDigest = from.IDKeyDigest, from.AuthorKeyDigest
}

// An image whose artifact is gone leaves nothing behind.
func testImageAtomic(t *testing.T, d Database) {
	s := d.Open(t)
	missing := func(_ context.Context, a store.ArtifactRef) (bool, error) { return a != Artifact("i"), nil }
	broken := func(context.Context, store.ArtifactRef) (bool, error) { return true, errors.ErrUnsupported }
	for want, present := range map[error]store.Present{store.ErrArtifactGone: missing, errors.ErrUnsupported: broken} {
		if _, _, err := s.CreateImage(t.Context(), Image("image"), Release("f", "k", "i"), present); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if _, _, err := s.CreateImage(t.Context(), Image("image"), Release("f", "k", "i"), nil); err == nil {
		t.Error("artifacts taken on trust")
	}
	if page, err := s.ListImages(t.Context(), store.ImageFilter{}); err != nil || len(page.Items) != 0 {
		t.Errorf("got %+v, %v, want nothing", page, err)
	}
	if unused, err := s.UnusedArtifacts(t.Context(), time.Now().Add(time.Hour), 9); err != nil || len(unused) != 0 {
		t.Errorf("got artifacts %x, %v, want none", unused, err)
	}
}

func testImageFilters(t *testing.T, d Database) {
	s := d.Open(t, store.Options{Now: NewClock(time.Second).Now})
	for _, i := range []struct {
		name    string
		enabled bool
		labels  map[string]string
	}{
		{"Web 50%", true, map[string]string{"os": "debian", "tier": "front"}},
		{"web_test", false, map[string]string{"os": "debian", "tier": "back"}},
		{`WEB\ÄRGER`, true, map[string]string{"os": "ubuntu"}},
		{"webXtest", true, nil},
	} {
		image := Image(i.name)
		image.Enabled, image.Labels = i.enabled, i.labels
		create(t, s, image, Release("f", "k", "i"))
	}
	for name, tc := range map[string]struct {
		filter store.ImageFilter
		want   []string
	}{
		"all":           {store.ImageFilter{}, []string{"webXtest", `WEB\ÄRGER`, "web_test", "Web 50%"}},
		"name":          {store.ImageFilter{Name: "WEB"}, []string{"webXtest", `WEB\ÄRGER`, "web_test", "Web 50%"}},
		"percent":       {store.ImageFilter{Name: "0%"}, []string{"Web 50%"}},
		"underscore":    {store.ImageFilter{Name: "b_t"}, []string{"web_test"}},
		"backslash":     {store.ImageFilter{Name: `\`}, []string{`WEB\ÄRGER`}},
		"other letters": {store.ImageFilter{Name: "ärger"}, []string{`WEB\ÄRGER`}},
		"not text":      {store.ImageFilter{Name: "web\x00"}, nil},
		"enabled":       {store.ImageFilter{Enabled: ptr(true)}, []string{"webXtest", `WEB\ÄRGER`, "Web 50%"}},
		"disabled":      {store.ImageFilter{Enabled: ptr(false)}, []string{"web_test"}},
		"label":         {store.ImageFilter{Labels: map[string]string{"os": "debian"}}, []string{"web_test", "Web 50%"}},
		"labels":        {store.ImageFilter{Labels: map[string]string{"os": "debian", "tier": "back"}}, []string{"web_test"}},
		"no such":       {store.ImageFilter{Labels: map[string]string{"os": "ubuntu", "tier": "back"}}, nil},
		"all of it":     {store.ImageFilter{Name: "web", Enabled: ptr(true), Labels: map[string]string{"tier": "front"}}, []string{"Web 50%"}},
	} {
		page, err := s.ListImages(t.Context(), tc.filter)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, i := range page.Items {
			got = append(got, i.Name)
			if i.Name == "web_test" && i.Labels["tier"] != "back" {
				t.Errorf("%s: labels %v", name, i.Labels)
			}
		}
		if !slices.Equal(got, tc.want) || page.Next != "" {
			t.Errorf("%s: got %q, next %q, want %q", name, got, page.Next, tc.want)
		}
		if n, err := s.CountImages(t.Context(), tc.filter); err != nil || n != int64(len(tc.want)) {
			t.Errorf("%s: counted %d, %v, want %d", name, n, err, len(tc.want))
		}
	}
}

func testImagePages(t *testing.T, d Database) {
	now := time.Now()
	s := d.Open(t, store.Options{Now: func() time.Time { return now }})
	const images = 7
	want := map[wire.UUID]bool{}
	for i := range images {
		now = now.Add(time.Duration(i%2) * time.Second) // pairs of the same age
		image, _ := create(t, s, Image(fmt.Sprint("image ", i)), Release("f", "k", "i"))
		want[image.ID] = true
	}
	for _, limit := range []int{1, 2, 3, images, images + 1, 0, 1 << 40} {
		seen := map[wire.UUID]bool{}
		filter := store.ImageFilter{Limit: limit}
		for pages := 0; ; pages++ {
			page, err := s.ListImages(t.Context(), filter)
			if err != nil || pages > images {
				t.Fatal(pages, err)
			}
			for _, i := range page.Items {
				seen[i.ID] = true
			}
			if len(page.Items) == 0 || limit > 0 && len(page.Items) > limit {
				t.Errorf("limit %d: page of %d", limit, len(page.Items))
			}
			if filter.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		if !reflect.DeepEqual(seen, want) {
			t.Errorf("limit %d: saw %d images, want %d", limit, len(seen), len(want))
		}
	}
	for _, cursor := range []string{"x", "!", strings.Repeat("A", 34), strings.Repeat("A", 35)} {
		if _, err := s.ListImages(t.Context(), store.ImageFilter{Cursor: cursor}); !errors.Is(err, store.ErrCursor) {
			t.Errorf("cursor %q: got %v", cursor, err)
		}
	}
}

func testImageOrders(t *testing.T, d Database) {
	s := d.Open(t, store.Options{Now: NewClock(time.Second).Now})
	for _, name := range []string{"web", "Mail", "api", "Build"} {
		image := Image(name)
		image.Enabled = name != "api"
		create(t, s, image, Release("f", "k", "i"))
	}
	for _, tc := range []struct {
		filter store.ImageFilter
		want   []string
		total  int64
	}{
		{store.ImageFilter{}, []string{"Build", "api", "Mail", "web"}, 4},
		{store.ImageFilter{Order: store.OldestFirst}, []string{"web", "Mail", "api", "Build"}, 4},
		{store.ImageFilter{Order: store.NameAscending}, []string{"api", "Build", "Mail", "web"}, 4},
		{store.ImageFilter{Order: store.NameDescending}, []string{"web", "Mail", "Build", "api"}, 4},
		{store.ImageFilter{Offset: 1, Limit: 2}, []string{"api", "Mail"}, 4},
		{store.ImageFilter{Order: store.NameAscending, Offset: 2, Limit: 2}, []string{"Mail", "web"}, 4},
		{store.ImageFilter{Order: store.NameDescending, Offset: 3, Limit: 2}, []string{"api"}, 4},
		{store.ImageFilter{Order: store.NameAscending, Offset: 4}, nil, 4},
		{store.ImageFilter{Order: store.NameAscending, Enabled: ptr(true), Offset: 1}, []string{"Mail", "web"}, 3},
	} {
		page, err := s.ListImages(t.Context(), tc.filter)
		var got []string
		for _, i := range page.Items {
			got = append(got, i.Name)
		}
		if err != nil || !slices.Equal(got, tc.want) || tc.filter.Order != store.NewestFirst && page.Next != "" {
			t.Errorf("%+v: got %q, next %q, %v, want %q", tc.filter, got, page.Next, err, tc.want)
		}
		if n, err := s.CountImages(t.Context(), tc.filter); err != nil || n != tc.total {
			t.Errorf("%+v: counted %d, %v, want %d", tc.filter, n, err, tc.total)
		}
	}
	for _, filter := range []store.ImageFilter{{Order: store.OldestFirst, Cursor: "x"}, {Offset: -1}} {
		if _, err := s.ListImages(t.Context(), filter); !errors.Is(err, store.ErrCursor) {
			t.Errorf("%+v: got %v", filter, err)
		}
	}
}

func testImageEdits(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := create(t, s, Image("image"), Release("f", "k", "i"))
	create(t, s, Image("taken"), Release("f", "k", "i"))
	labels := map[string]string{"a": "b"}
	if err := errors.Join(s.SetImageEnabled(t.Context(), image.ID, false), s.RenameImage(t.Context(), image.ID, "Name"),
		s.SetImageLabels(t.Context(), image.ID, map[string]string{"old": "x", "a": "x"}), s.SetImageLabels(t.Context(), image.ID, labels)); err != nil {
		t.Fatal(err)
	}
	got, err := s.ImageByID(t.Context(), image.ID)
	if err != nil || got.Enabled || got.Name != "Name" || !reflect.DeepEqual(got.Labels, labels) {
		t.Errorf("got %+v, %v", got, err)
	}
	if page, err := s.ListImages(t.Context(), store.ImageFilter{Name: "nam"}); err != nil || len(page.Items) != 1 {
		t.Errorf("not found under its new name: %v, %v", page, err)
	}
	nobody := wire.NewUUID()
	for name, tc := range map[string]struct{ err, want error }{
		"enable":       {s.SetImageEnabled(t.Context(), nobody, true), store.ErrNotFound},
		"rename":       {s.RenameImage(t.Context(), nobody, "x"), store.ErrNotFound},
		"label":        {s.SetImageLabels(t.Context(), nobody, labels), store.ErrNotFound},
		"taken":        {s.RenameImage(t.Context(), image.ID, "taken"), store.ErrNameTaken},
		"no name":      {s.RenameImage(t.Context(), image.ID, ""), store.ErrInvalid},
		"bad label":    {s.SetImageLabels(t.Context(), image.ID, map[string]string{"\xFF": ""}), store.ErrInvalid},
		"its own name": {s.RenameImage(t.Context(), image.ID, "Name"), nil},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, tc.err, tc.want)
		}
	}
}
