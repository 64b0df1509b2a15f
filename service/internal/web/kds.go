package web

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// kdsHealth is how the cache of AMD's certificates is.
type kdsHealth struct {
	BaseURL string
	Offline bool
	CRL     string // what is done without a current list
	Counts  store.KDSCounts
	Lists   []crlHealth
}

// crlHealth is a cached revocation list. It is shown, not judged: who it is signed
// by is checked when it counts.
type crlHealth struct {
	Name               string
	Issued, Next       time.Time
	Damaged, Outdated  bool
	FetchedAt          time.Time
	RevokedCertificate int
}

func (w *Web) kdsHealth(ctx context.Context) (kdsHealth, error) {
	counts, err := w.cfg.KDSCache.Counts(ctx)
	if err != nil {
		return kdsHealth{}, err
	}
	h := kdsHealth{BaseURL: w.cfg.KDS.BaseURL, Offline: w.cfg.KDS.Offline, CRL: w.cfg.CRL, Counts: counts}
	for _, product := range snp.Products() {
		for _, signer := range []snp.SigningKey{snp.SignedByVCEK, snp.SignedByVLEK} {
			key, err := kds.CRLKey(product, signer)
			if err != nil {
				return kdsHealth{}, err
			}
			entry, err := w.cfg.KDSCache.Get(ctx, key)
			if errors.Is(err, kds.ErrNotCached) {
				continue
			}
			if err != nil && !errors.Is(err, kds.ErrCorrupt) {
				return kdsHealth{}, err
			}
			h.Lists = append(h.Lists, w.crlHealth(string(product)+" "+signer.String(), entry))
		}
	}
	return h, nil
}

func (w *Web) crlHealth(name string, entry kds.Entry) crlHealth {
	h := crlHealth{Name: name, FetchedAt: entry.FetchedAt}
	list, err := x509.ParseRevocationList(entry.Data)
	if err != nil {
		h.Damaged = true
		return h
	}
	h.Issued, h.Next, h.RevokedCertificate = list.ThisUpdate, list.NextUpdate, len(list.RevokedCertificateEntries)
	h.Outdated = w.cfg.Now().After(list.NextUpdate)
	return h
}

func (w *Web) exportKDS(rw http.ResponseWriter, r *request) error {
	return api.SendKDS(r.Context(), w.cfg.Pace.Writer(rw, r.control), w.cfg.Desk, r.who())
}

// maxKDSArchive bounds an archive in bytes, as the API does.
const maxKDSArchive = 256 << 20

// importKDS imports the archive of a form as it comes.
func (w *Web) importKDS(rw http.ResponseWriter, r *request) error {
	form, err := w.openForm(rw, r, maxKDSArchive+maxForm)
	if err != nil {
		return err
	}
	file, err := form.file("archive")
	if err != nil {
		return err
	}
	sent := &api.ClientReader{Reader: file}
	_, err = w.cfg.Desk.ImportKDS(r.Context(), r.who(), sent)
	if sent.Err != nil {
		return bodyProblem(sent.Err)
	}
	if p, ok := asProblem(err); ok {
		form.drain()
		return w.renderSettings(rw, r, p.Status, page{Problem: p})
	}
	if err != nil {
		return err
	}
	return redirect(rw, r, "/settings", "imported")
}
