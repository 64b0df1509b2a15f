package boot

import (
	"context"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
)

// unlock gets the volume key.
func (b *Boot) unlock(ctx context.Context) error {
	session, err := unlock.New(b.config, b.sealed, func(data [report.DataSize]byte) (*report.Evidence, error) {
		return report.Get(b.Machine.Providers, data)
	})
	if err != nil {
		return err
	}
	defer session.Forget()
	loop := unlock.NewLoop(b.paths, func(format string, args ...any) { b.Log.Printf("unlock", format, args...) })
	b.grant, err = session.Run(ctx, loop)
	if err != nil {
		return err
	}
	b.Log.Printf("unlock", "key released by %s, report from %s, %d bytes of certificates",
		b.grant.Service, b.grant.Evidence.Provider, len(b.grant.Evidence.Certificates))
	return nil
}
