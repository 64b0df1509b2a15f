package storetest

import (
	"errors"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// succeeding makes n changes of the same thing at the same time and returns which have
// succeeded. All others have to find that it has changed.
func succeeding(t *testing.T, n int, change func(i int) error) (succeeded []int) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range n {
		wg.Go(func() {
			err := change(i)
			if err != nil && !errors.Is(err, store.ErrChanged) {
				t.Error(err)
			}
			if err == nil {
				mu.Lock()
				succeeded = append(succeeded, i)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return succeeded
}
