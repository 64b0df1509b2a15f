package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

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
