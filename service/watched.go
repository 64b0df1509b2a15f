package main

import (
	"context"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/background"
)

// openWatch makes what the metrics learn from.
func (s *service) openWatch(context.Context) error {
	s.watch = &background.Watch{Store: s.store, KEK: s.kek, Cache: s.store.KDSCache(), Data: s.cfg.Data, Gauges: s.metrics.Watched(), Log: s.log}
	if s.cfg.CRL != "off" {
		s.watch.Lists = s.kds
	}
	s.metrics.ServerCertificate(func() (time.Time, error) {
		certificate, err := s.serverCertificate()
		if err != nil {
			return time.Time{}, err
		}
		return certificate.NotAfter, nil
	})
	return nil
}
