package kds

import "sync"

// memo keeps what has been checked already, at most max of it: when it is full
// it starts anew.
type memo[V any] struct {
	max int

	mu     sync.Mutex
	values map[Key]V
}

func (m *memo[V]) get(key Key) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	return v, ok
}

func (m *memo[V]) put(key Key, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil || len(m.values) >= m.max {
		m.values = make(map[Key]V)
	}
	m.values[key] = v
}

func (m *memo[V]) drop(key Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
}
