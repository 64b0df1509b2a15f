package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func testLoginFailures(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	const window = time.Minute
	for _, tc := range []struct {
		wait    time.Duration
		address string
		want    store.LoginFailures
	}{
		{0, "a", store.LoginFailures{Address: 1, Global: 1}},
		{0, "b", store.LoginFailures{Address: 1, Global: 2}},
		{30 * time.Second, "a", store.LoginFailures{Address: 2, Global: 3}},
		{29 * time.Second, "c", store.LoginFailures{Address: 1, Global: 4}},
		{time.Second, "a", store.LoginFailures{Address: 1, Global: 1}},
		{0, "c", store.LoginFailures{Address: 2, Global: 2}},
	} {
		clock.Advance(tc.wait)
		got, err := s.CountLoginFailure(t.Context(), tc.address, window)
		read, readErr := s.LoginFailures(t.Context(), tc.address, window)
		if errors.Join(err, readErr) != nil || got != tc.want || read != tc.want {
			t.Errorf("%+v: got %+v, read %+v, %v %v", tc, got, read, err, readErr)
		}
	}
	if err := s.ForgiveLoginFailure(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.LoginFailures(t.Context(), "c", window); err != nil || got != (store.LoginFailures{Address: 0, Global: 1}) {
		t.Errorf("forgiven: got %+v, %v", got, err)
	}
	clock.Advance(window)
	if got, err := s.LoginFailures(t.Context(), "a", window); err != nil || got != (store.LoginFailures{}) {
		t.Errorf("after the window: got %+v, %v", got, err)
	}
	if _, err := s.CountLoginFailure(t.Context(), "", window); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("no address: got %v", err)
	}
}

// Guesses at the same time are all counted.
func testLoginGuessing(t *testing.T, d Database) {
	s := d.Open(t)
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if _, err := s.CountLoginFailure(t.Context(), fmt.Sprint(n%2), time.Hour); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, err := s.LoginFailures(t.Context(), "1", time.Hour); err != nil || got != (store.LoginFailures{Address: 10, Global: 20}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// The table does not grow with the addresses of an attacker.
func testManyOrigins(t *testing.T, d Database) {
	s := d.Open(t)
	d.exec(t, q(`INSERT INTO login_failures (origin, failures, window_start) WITH RECURSIVE n (n) AS
		(SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000) SELECT 'a' || n, 1, $1 FROM n`, time.Now().UnixMicro())...)
	for want := range int64(3) {
		if got, err := s.CountLoginFailure(t.Context(), "new", time.Hour); err != nil || got != (store.LoginFailures{Address: want + 1, Global: want + 1}) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if got, err := s.CountLoginFailure(t.Context(), "new2", time.Hour); err != nil || got != (store.LoginFailures{Address: 4, Global: 4}) {
		t.Errorf("one more address: got %+v, %v, want the count of all", got, err)
	}
}
