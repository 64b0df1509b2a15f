package web

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"io"
	"net/http"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// settingsPage is what the template needs.
type settingsPage struct {
	Certificates []ownCertificate
	Info         wire.PublicInfo
	KDS          kdsHealth
	Status       wire.Status
}

// ownCertificate is a certificate of the service.
type ownCertificate struct {
	Role, Subject, Issuer string
	Names                 []string // host names and addresses
	Fingerprint           string   // SHA-256
	NotAfter              time.Time
	Download              bool
}

func newOwnCertificate(role string, c *x509.Certificate) ownCertificate {
	sum := sha256.Sum256(c.Raw)
	own := ownCertificate{
		Role: role, Subject: c.Subject.CommonName, Issuer: c.Issuer.CommonName, Names: c.DNSNames,
		Fingerprint: hex.EncodeToString(sum[:]), NotAfter: c.NotAfter,
	}
	for _, ip := range c.IPAddresses {
		own.Names = append(own.Names, ip.String())
	}
	return own
}

func (w *Web) showSettings(rw http.ResponseWriter, r *request) error {
	return w.renderSettings(rw, r, http.StatusOK, page{})
}

func (w *Web) renderSettings(rw http.ResponseWriter, r *request, status int, p page) error {
	certificate, err := w.cfg.Certificate()
	if err != nil {
		return err
	}
	body := settingsPage{Info: w.cfg.Info, Status: w.cfg.Status, Certificates: []ownCertificate{newOwnCertificate("Server", certificate)}}
	if w.cfg.CA != nil {
		ca := newOwnCertificate("Certificate authority", w.cfg.CA)
		ca.Download = true
		body.Certificates = append(body.Certificates, ca)
	}
	if body.KDS, err = w.kdsHealth(r.Context()); err != nil {
		return err
	}
	p.Name, p.Title, p.Nav, p.Body = "settings.html", "Settings", "settings", body
	return w.render(rw, r, status, p)
}

func (w *Web) downloadCA(rw http.ResponseWriter, _ *request) error {
	if w.cfg.Info.CACertificate == "" {
		return missing(nil)
	}
	rw.Header().Set("Content-Type", "application/x-pem-file")
	rw.Header().Set("Content-Disposition", `attachment; filename="snpguard-ca.pem"`)
	_, err := io.WriteString(rw, w.cfg.Info.CACertificate)
	return err
}

// changePassword ends all sessions, this one too.
func (w *Web) changePassword(rw http.ResponseWriter, r *request) error {
	if r.PostForm.Get("new") != r.PostForm.Get("repeated") {
		return w.renderSettings(rw, r, http.StatusUnprocessableEntity, page{Problem: &problem{
			Title: "The password was not changed.", Detail: "The two entries of the new password differ.",
		}})
	}
	err := w.cfg.Accounts.ChangePassword(r.Context(), r.who(), r.PostForm.Get("current"), r.PostForm.Get("new"))
	if p, ok := asProblem(err); ok {
		if p.Code == wire.CodeUnauthenticated {
			p.Title, p.Detail = "The password was not changed.", "The current password is wrong."
		}
		return w.renderSettings(rw, r, p.Status, page{Problem: p})
	}
	if err != nil {
		return err
	}
	http.SetCookie(rw, sessionCookie(""))
	return redirect(rw, r, "/login", "password")
}
