package service

import "testing"

// TestNoChain has a peer without a certificate, which TLS itself refuses before.
func TestNoChain(t *testing.T) {
	if err := verifyUndated(nil, nil, "attest.example.org"); err == nil || err.Error() != "service has no certificate" {
		t.Errorf("got %v", err)
	}
}
