package keyring

import (
	"crypto/ecdsa"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// Names are what a server certificate is good for.
type Names struct {
	DNS []string
	IP  []net.IP
}

// ParseNames sorts host names and IP addresses apart.
func ParseNames(hosts []string) Names {
	var n Names
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			n.IP = append(n.IP, ip)
		} else {
			n.DNS = append(n.DNS, host)
		}
	}
	return n
}

// issued is a server certificate and when to make the next.
type issued struct {
	der   []byte
	key   *ecdsa.PrivateKey
	renew time.Time
}

// ServerCertificate returns what tls.Config.GetCertificate wants: a certificate
// for names by the CA, made anew in memory well before it expires. It fails at
// once when none can be made.
func (a *Authority) ServerCertificate(names Names) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	current, err := a.issue(names, time.Now())
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.After(current.renew) {
			next, err := a.issue(names, now)
			if err != nil {
				return nil, err
			}
			current = next
		}
		return &tls.Certificate{Certificate: [][]byte{current.der}, PrivateKey: current.key}, nil
	}, nil
}
