package unlock

import (
	"context"
	"sync"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// recallFor is how long a launch that was looked up may be used again.
const recallFor = time.Second

// maxRecalled bounds how many launches are remembered.
const maxRecalled = 1024

// recent remembers launches for a moment: the guests of a fleet run the same few
// releases and ask at the same hour.
type recent struct {
	Launches
	now func() time.Time

	mu    sync.Mutex
	found map[launchKey]recalled
}

type launchKey struct {
	idKey, authorKey [48]byte
	release          wire.UUID
}

type recalled struct {
	launch store.Launch
	until  time.Time
}

// Recalling returns a service that proves guests by launches as they were up to a
// second ago. It is for calls that hand out no key, and nothing that is not looked at
// again: a guest of a release that was retired in that second is still answered.
func (s *Service) Recalling() *Service {
	config := s.Config
	config.Launches = &recent{Launches: s.Launches, now: s.Now, found: make(map[launchKey]recalled)}
	return New(config)
}

// FindLaunch implements Launches. What was not found is not remembered.
func (r *recent) FindLaunch(ctx context.Context, idKey, authorKey [48]byte, release wire.UUID) (store.Launch, error) {
	key, now := launchKey{idKey, authorKey, release}, r.now()
	r.mu.Lock()
	known, found := r.found[key]
	r.mu.Unlock()
	if found && now.Before(known.until) {
		return known.launch, nil
	}
	launch, err := r.Launches.FindLaunch(ctx, idKey, authorKey, release)
	if err != nil {
		return launch, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.found) >= maxRecalled {
		clear(r.found) // rare, and cheap to fill again
	}
	r.found[key] = recalled{launch, now.Add(recallFor)}
	return launch, nil
}
