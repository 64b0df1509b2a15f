package storetest

import (
	"bytes"
	"context"
	"encoding/json"
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

func auditTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"audit round trip":   testAuditRoundTrip,
		"audit limits":       testAuditLimits,
		"audit filters":      testAuditFilters,
		"audit pages":        testAuditPages,
		"audit follow":       testAuditFollow,
		"audit with change":  testAudited,
		"audit verify":       testVerify,
		"audit tampering":    testTampering,
		"audit cut short":    testCutShort,
		"audit written anew": testWrittenAnew,
	}
}

// fullRecord has every field.
func fullRecord() audit.Record {
	return audit.Record{
		Outcome: audit.OutcomeDenied, Reason: "measurement", RequestID: "req-1", Address: "192.0.2.1", Actor: "token ci",
		ImageID: wire.NewUUID(), ReleaseID: wire.NewUUID(), InstanceID: wire.NewUUID(), ChipID: bytes.Repeat([]byte{0xC1}, 64), TCB: "snp=23 <&>",
		Rule: "measurement", Expected: "\"aa\"", Found: "größer", Report: bytes.Repeat([]byte{7}, 1184),
		Details: map[string]string{"b": "2", "a": "1", "": ""},
	}
}

func testAuditRoundTrip(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	want := fullRecord()
	want.Seq, want.Kind, want.Time = 7, "what?", time.Time{} // the store's to set
	got, err := s.RecordAdmin(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	want.Seq, want.Kind, want.Time = 1, audit.KindAdmin, clock.Now()
	listed, err := s.ListAudit(t.Context(), store.AuditFilter{}, store.AuditRange{})
	if err != nil || len(listed) != 1 {
		t.Fatalf("got %d records, %v", len(listed), err)
	}
	for _, e := range []audit.Entry{got, listed[0]} {
		if !reflect.DeepEqual(e.Record, want) {
			t.Errorf("got  %+v\nwant %+v", e.Record, want)
		}
	}
	if !reflect.DeepEqual(got, listed[0]) {
		t.Errorf("got %+v, listed %+v", got, listed[0])
	}
	head, err := s.AuditHead(t.Context())
	if err != nil || head != (audit.Head{Seq: 1, Hash: got.Hash}) {
		t.Errorf("head %s, %v, want that of %x", head, err, got.Hash)
	}
	if body, err := json.Marshal(want); err != nil || !bytes.Equal(body, got.Body) {
		t.Errorf("body %s, %v, want %s", got.Body, err, body)
	}
}

func testAuditLimits(t *testing.T, d Database) {
	s := d.Open(t)
	long := fullRecord()
	long.Reason, long.RequestID = audit.Reason(strings.Repeat("ä", audit.MaxText)), "a\x00b\xFFc"
	long.Details = map[string]string{"x\x00": strings.Repeat("y", audit.MaxText+1)}
	got, err := s.RecordAdmin(t.Context(), long)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Reason) > audit.MaxText || !strings.HasSuffix(string(got.Reason), "ä...") || got.RequestID != "a\uFFFDb\uFFFDc" ||
		len(got.Details["x\uFFFD"]) != audit.MaxText {
		t.Errorf("got %+v", got.Record)
	}
	if listed, err := s.ListAudit(t.Context(), store.AuditFilter{RequestID: "a\x00b\xFFc"}, store.AuditRange{}); err != nil || len(listed) != 1 {
		t.Errorf("not found by its request ID: %v", err)
	}
	many := map[string]string{}
	for n := range audit.MaxDetails + 1 {
		many[fmt.Sprint(n)] = ""
	}
	for name, change := range map[string]func(*audit.Record){
		"outcome":   func(r *audit.Record) { r.Outcome = audit.OutcomeGranted },
		"no reason": func(r *audit.Record) { r.Reason = "" },
		"report":    func(r *audit.Record) { r.Report = make([]byte, audit.MaxReport+1) },
		"chip ID":   func(r *audit.Record) { r.ChipID = make([]byte, audit.MaxText+1) },
		"details":   func(r *audit.Record) { r.Details = many },
	} {
		record := fullRecord()
		change(&record)
		if _, err := s.RecordAdmin(t.Context(), record); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// recordAll writes records and returns them.
func recordAll(t *testing.T, s *store.Store, records ...audit.Record) []audit.Entry {
	t.Helper()
	var entries []audit.Entry
	for _, r := range records {
		e, err := s.RecordAdmin(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries
}

func numbers(entries []audit.Entry) []int64 {
	var all []int64
	for _, e := range entries {
		all = append(all, e.Seq)
	}
	return all
}

func testAuditFilters(t *testing.T, d Database) {
	s := d.Open(t, store.Options{Now: NewClock(time.Second).Now})
	image, instance, chip := wire.NewUUID(), wire.NewUUID(), bytes.Repeat([]byte{1}, 64)
	done := audit.Record{Outcome: audit.OutcomeDone}
	entries := recordAll(t, s,
		audit.Record{Outcome: audit.OutcomeDenied, Reason: "a", RequestID: "x", ImageID: image},
		audit.Record{Outcome: audit.OutcomeDenied, Reason: "b", RequestID: "y", ChipID: chip, InstanceID: instance},
		audit.Record{Outcome: audit.OutcomeDone, Reason: "a", ImageID: image, ChipID: chip}, done)
	if _, err := Denied("a").Write(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		filter store.AuditFilter
		want   []int64
	}{
		"all":        {store.AuditFilter{}, []int64{5, 4, 3, 2, 1}},
		"kind":       {store.AuditFilter{Kind: audit.KindUnlock}, []int64{5}},
		"outcome":    {store.AuditFilter{Outcome: audit.OutcomeDenied}, []int64{5, 2, 1}},
		"reason":     {store.AuditFilter{Reason: "a"}, []int64{5, 3, 1}},
		"request ID": {store.AuditFilter{RequestID: "y"}, []int64{2}},
		"image":      {store.AuditFilter{ImageID: image}, []int64{3, 1}},
		"instance":   {store.AuditFilter{InstanceID: instance}, []int64{2}},
		"chip":       {store.AuditFilter{ChipID: chip}, []int64{3, 2}},
		"since":      {store.AuditFilter{Since: entries[2].Time}, []int64{5, 4, 3}},
		"until":      {store.AuditFilter{Until: entries[2].Time}, []int64{2, 1}},
		"between":    {store.AuditFilter{Since: entries[1].Time, Until: entries[3].Time}, []int64{3, 2}},
		"several":    {store.AuditFilter{Reason: "a", ImageID: image, Outcome: audit.OutcomeDone}, []int64{3}},
		"none":       {store.AuditFilter{Reason: "c"}, nil},
	} {
		got, err := s.ListAudit(t.Context(), tc.filter, store.AuditRange{})
		if err != nil || !slices.Equal(numbers(got), tc.want) {
			t.Errorf("%s: got %v, %v, want %v", name, numbers(got), err, tc.want)
		}
		got, err = s.ListAudit(t.Context(), tc.filter, store.AuditRange{OldestFirst: true})
		slices.Reverse(tc.want)
		if err != nil || !slices.Equal(numbers(got), tc.want) {
			t.Errorf("%s, oldest first: got %v, %v, want %v", name, numbers(got), err, tc.want)
		}
	}
}

func testAuditPages(t *testing.T, d Database) {
	s := d.Open(t)
	for range 7 {
		recordAll(t, s, audit.Record{Outcome: audit.OutcomeDone})
	}
	for _, tc := range []struct {
		page store.AuditRange
		want []int64
	}{
		{store.AuditRange{Limit: 3}, []int64{7, 6, 5}},
		{store.AuditRange{Limit: 3, Before: 5}, []int64{4, 3, 2}},
		{store.AuditRange{Limit: 3, Before: 2}, []int64{1}},
		{store.AuditRange{Limit: 3, OldestFirst: true}, []int64{1, 2, 3}},
		{store.AuditRange{Limit: 3, OldestFirst: true, After: 3}, []int64{4, 5, 6}},
		{store.AuditRange{Limit: 3, OldestFirst: true, After: 7}, nil},
		{store.AuditRange{After: 2, Before: 5}, []int64{4, 3}},
		{store.AuditRange{Limit: 1 << 40}, []int64{7, 6, 5, 4, 3, 2, 1}},
	} {
		got, err := s.ListAudit(t.Context(), store.AuditFilter{}, tc.page)
		if err != nil || !slices.Equal(numbers(got), tc.want) {
			t.Errorf("%+v: got %v, %v, want %v", tc.page, numbers(got), err, tc.want)
		}
		for i := range len(got) - 1 {
			if newer, older := got[i], got[i+1]; !tc.page.OldestFirst && newer.PrevHash != older.Hash {
				t.Errorf("%+v: record %d does not follow %d", tc.page, newer.Seq, older.Seq)
			}
		}
	}
}

func testAuditFollow(t *testing.T, d Database) {
	s := d.Open(t)
	denied, done := audit.Record{Outcome: audit.OutcomeDenied, Reason: "a"}, audit.Record{Outcome: audit.OutcomeDone}
	recordAll(t, s, denied, done, denied)
	var seen []int64
	enough := errors.New("enough")
	err := s.FollowAudit(t.Context(), store.AuditFilter{Outcome: audit.OutcomeDenied}, 1, func(e audit.Entry) error {
		if seen = append(seen, e.Seq); len(seen) == 1 {
			recordAll(t, s, done, denied) // while it follows
			return nil
		}
		return enough
	})
	if !errors.Is(err, enough) || !slices.Equal(seen, []int64{3, 5}) {
		t.Errorf("got %v, %v", seen, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.FollowAudit(ctx, store.AuditFilter{}, 5, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A change and its record are made together or not at all.
func testAudited(t *testing.T, d Database) {
	s := d.Open(t)
	change := func(record audit.Record, failure error) (audit.Entry, error) {
		return s.Audited(t.Context(), func(ctx context.Context) (audit.Record, error) {
			if _, _, err := s.CreateImage(ctx, Image("image"), Release("f", "k", "i"), Present); err != nil {
				t.Error(err)
			}
			if _, err := s.ImageByName(ctx, "image"); err != nil {
				t.Error(err)
			}
			return record, failure
		})
	}
	done := audit.Record{Outcome: audit.OutcomeDone, Actor: "token ci"}
	if _, err := change(done, errors.ErrUnsupported); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if _, err := change(audit.Record{Outcome: "maybe"}, nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if counts, err := s.Count(t.Context()); err != nil || counts != (store.Counts{}) {
		t.Fatalf("got %+v, %v, want nothing", counts, err)
	}
	e, err := change(done, nil)
	if err != nil || e.Seq != 1 || e.Kind != audit.KindAdmin || e.Actor != done.Actor || e.Time.IsZero() {
		t.Errorf("got %+v, %v", e, err)
	}
	if counts, err := s.Count(t.Context()); err != nil || counts != (store.Counts{Images: 1, Releases: 1, AuditRecords: 1}) {
		t.Errorf("got %+v, %v", counts, err)
	}
	_, err = s.Audited(t.Context(), func(ctx context.Context) (audit.Record, error) {
		_, err := s.RecordAdmin(ctx, done)
		return done, err
	})
	if err == nil {
		t.Error("a record within a change: want an error, not a deadlock")
	}
	recordAll(t, s, done)
	if _, err := s.VerifyAudit(t.Context(), 1, nil); err != nil {
		t.Error(err)
	}
}
