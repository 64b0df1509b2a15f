package attest

import "testing"

func TestCacheIsBounded(t *testing.T) {
	var cache chainCache
	key := func(i int) chainKey { return Chain{VEK: []byte{byte(i), byte(i >> 8)}}.key() }
	for i := range cacheSize + 10 {
		p := &proven{}
		cache.put(key(i), p)
		if cache.get(key(i)) != p {
			t.Fatalf("chain %d was not kept", i)
		}
	}
	if len(cache.chains) != cacheSize {
		t.Errorf("keeps %d chains, want %d", len(cache.chains), cacheSize)
	}
}

func TestChainKey(t *testing.T) {
	a, b := []byte("a"), []byte("b")
	keys := make(map[chainKey]bool)
	for _, c := range []Chain{
		{}, {VEK: a}, {ASK: a}, {ARK: a}, {VEK: a, ASK: b}, {VEK: b, ASK: a}, {VEK: []byte("ab")}, {ASK: []byte("ab")}, {VEK: a, ARK: b},
	} {
		if keys[c.key()] {
			t.Errorf("%q has the key of another chain", c)
		}
		keys[c.key()] = true
	}
}
