package api

import (
	"sync"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Places bounds what goes on at the same time: in all, and for one token or
// session, so that none keeps the others out.
type Places struct{ All, Each int }

// places are the places of one kind.
type places struct {
	Places
	what string // that takes them, in plural

	mu    sync.Mutex
	taken int
	by    map[string]int
}

func newPlaces(p Places, what string) *places {
	return &places{Places: p, what: what, by: make(map[string]int)}
}

// enter takes a place for who sent a request, or says that there is none.
func (p *places) enter(r *request) (leave func(), err error) {
	who := r.principal.Actor()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.taken >= p.All:
		return nil, fail(wire.CodeUnavailable, "as many %s as the service allows at a time", p.what)
	case p.by[who] >= p.Each:
		return nil, fail(wire.CodeUnavailable, "as many %s with this token as the service allows at a time: %d", p.what, p.Each)
	}
	p.taken++
	p.by[who]++
	return func() { p.leave(who) }, nil
}

func (p *places) leave(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.by[who]--; p.by[who] == 0 {
		delete(p.by, who)
	}
}
