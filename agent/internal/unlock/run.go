package unlock

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/retry"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
)

// maxDenials is how many rounds may end in a denial. A service answers the same
// way until its operator changes something, and each denial fills the audit
// log; but an image is sometimes enabled in just these seconds, and a denial
// uses nothing up.
const maxDenials = 3

// denialPause is how long to wait at least after a denial.
const denialPause = 10 * time.Second

// ErrNoPath is a machine without a configured network.
var ErrNoPath = errors.New("no network")

// Path is a way out of this machine.
type Path struct {
	Name string // such as "eth0"
	Dial service.Dial
}

// Loop says how [Session.Run] waits.
type Loop struct {
	Backoff     retry.Backoff
	DenialPause time.Duration
	Paths       func() []Path // the ways there are by now
	Log         func(format string, args ...any)
}

// NewLoop returns the waiting times of production.
func NewLoop(paths func() []Path, log func(string, ...any)) Loop {
	return Loop{retry.Backoff{First: time.Second, Max: 15 * time.Second}, denialPause, paths, log}
}

// Run asks every service over every way in turn, round after round with a
// growing pause, until one grants the key, the context ends, or services have
// denied it in maxDenials rounds. The error is what the last round met; it wraps
// service.ErrDenied when that ended it.
func (s *Session) Run(ctx context.Context, l Loop) (*Result, error) {
	var result *Result
	denials := 0
	last := ""
	err := l.Backoff.Do(ctx, func() error {
		r, err := s.round(ctx, l.Paths())
		if err == nil {
			result = r
			return nil
		}
		if ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			l.Log("%v", err)
		}
		if errors.Is(err, service.ErrDenied) {
			if denials++; denials >= maxDenials {
				return retry.Permanent(err)
			}
			return retry.After(err, l.DenialPause)
		}
		return err
	})
	return result, err
}

// round asks each service once over each way.
func (s *Session) round(ctx context.Context, paths []Path) (*Result, error) {
	if len(paths) == 0 {
		return nil, ErrNoPath
	}
	var all error
	for _, url := range s.services {
		for _, path := range paths {
			result, err := s.try(ctx, url, path.Dial)
			if err == nil {
				result.Path = path.Name
				return result, nil
			}
			all = join(all, fmt.Errorf("%s: %w", name(url, path, len(paths)), short(err)))
		}
	}
	return nil, all
}

// name tells the ways apart where there are several.
func name(url string, path Path, paths int) string {
	if paths > 1 {
		return url + " by " + path.Name
	}
	return url
}

// short takes the address away, which net/http repeats.
func short(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

// join keeps errors in one line.
func join(all, err error) error {
	if all == nil {
		return err
	}
	if strings.Contains(all.Error(), err.Error()) {
		return all
	}
	return fmt.Errorf("%w; %w", all, err)
}
