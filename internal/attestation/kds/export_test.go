package kds

// Waiting returns how many wait for a request that is paid for.
func (c *Client) Waiting(key Key) int {
	c.admits.mu.Lock()
	defer c.admits.mu.Unlock()
	return c.admits.asking[key]
}
