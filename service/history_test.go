package main

import (
	"crypto/sha512"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// past is a database in which something has happened already.
type past struct {
	t     *testing.T
	store *store.Store
	clock *storetest.Clock
	chip  []byte
	tcb   string
}

// writePast fills a data directory with images, and a week of unlocks up to now.
func writePast(t *testing.T, data string, s *simulation) {
	t.Helper()
	p := &past{t: t, clock: storetest.NewClock(0), chip: s.host.Chip.ID[:], tcb: s.host.Chip.TCB.String()}
	begin := time.Now().UTC().Add(-7 * 24 * time.Hour)
	p.clock.Advance(begin.Sub(p.clock.Now()))
	kek, err := keyring.LoadKEK(filepath.Join(data, "kek"), true)
	if err != nil {
		t.Fatal(err)
	}
	p.store = storetest.Database{DSN: "sqlite:" + filepath.Join(data, "snpguard.db"), Key: kek.RowKey()}.Open(t, store.Options{Now: p.clock.Now})
	var images []store.Image
	var releases []store.Release
	for i, name := range []string{"debian-13-web", "ubuntu-2404-db", "debian-12-builder", "edge-gateway"} {
		p.clock.Advance(time.Hour)
		image, release := p.image(name, []string{"production", "production", "ci", "staging"}[i])
		images, releases = append(images, image), append(releases, release)
	}
	for n := 0; p.clock.Now().Before(time.Now().Add(-2 * time.Hour)); n++ {
		step := time.Duration(12+(n*7)%23) * time.Minute
		if p.clock.Now().Hour() < 6 { // the night is quiet
			step *= 3
		}
		p.clock.Advance(step)
		i := (n*3 + n/5) % len(images)
		p.unlock(n, images[i], releases[i], s)
	}
}

// image registers an image whose files are not there.
func (p *past) image(name, stage string) (store.Image, store.Release) {
	p.t.Helper()
	image, release := storetest.Image(name), storetest.Release("firmware "+name, "kernel "+name, "initrd "+name)
	image.Labels, image.Simulated, release.GuestPolicy = map[string]string{"stage": stage}, true, 0x30000
	image.Policy = []byte(`{"version":1,"tcb_floors":{"milan":{"reported":{"fmc":0,"bootloader":4,"tee":0,"snp":22,"microcode":213}}}}`)
	for i := range release.Variants {
		release.Variants[i].Measurement = sha512.Sum384(fmt.Append(nil, name, i))
	}
	image, release, err := p.store.CreateImage(p.t.Context(), image, release, storetest.Present)
	if err != nil {
		p.t.Fatal(err)
	}
	return image, release
}

// unlock records a grant, and now and then a denial.
func (p *past) unlock(n int, image store.Image, release store.Release, s *simulation) {
	p.t.Helper()
	launch, err := p.store.FindLaunch(p.t.Context(), image.IDKeyDigest, image.AuthorKeyDigest, release.ID)
	if err != nil {
		p.t.Fatal(err)
	}
	u := storetest.GrantedOf(launch)
	report := sim.ReportTemplate(s.host.Chip)
	report.FamilyID, report.ImageID, report.Measurement = image.ID, release.ID, release.Variants[0].Measurement
	signed, err := s.host.VEK.Report(report)
	if err != nil {
		p.t.Fatal(err)
	}
	u.Audit = audit.Record{
		RequestID: fmt.Sprintf("%024x", n), Address: fmt.Sprintf("10.20.%d.%d", n%4, 10+n%90), ImageID: image.ID, ReleaseID: release.ID,
		ChipID: p.chip, TCB: p.tcb, Report: signed,
	}
	u.Nonce.Expires = p.clock.Now().Add(time.Minute)
	switch {
	case n%17 == 5:
		u.Claim = nil
		u.Audit.Reason, u.Audit.Rule = "measurement", "measurement"
		u.Audit.Expected = fmt.Sprintf("%x or %x", release.Variants[0].Measurement, release.Variants[1].Measurement)
		u.Audit.Found = fmt.Sprintf("%x", sha512.Sum384([]byte("another kernel")))
	case n%23 == 9:
		u.Claim = nil
		u.Audit.Reason, u.Audit.Rule, u.Audit.Expected, u.Audit.Found = "tcb_floors.reported", "tcb_floors.reported", "at least snp=22", "snp=21"
	case n%31 == 11:
		u.Claim = nil
		u.Audit.Reason, u.Audit.Rule, u.Audit.Expected, u.Audit.Found = "launch_unknown", "id_key_digest, author_key_digest, image_id", "a registered release", "others"
		u.Audit.ImageID, u.Audit.ReleaseID = wire.UUID{}, wire.UUID{}
	}
	if _, err := u.Write(p.t.Context(), p.store); err != nil {
		p.t.Fatal(err)
	}
}
