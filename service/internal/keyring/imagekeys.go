package keyring

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// ImageKeys are the ID key and the author key of an image.
type ImageKeys struct {
	ID, Author *ecdsa.PrivateKey
}

// SealedImageKeys are an image's keys as the database keeps them, and the
// digests by which reports name them.
type SealedImageKeys struct {
	ID, Author             []byte
	IDDigest, AuthorDigest [idblock.KeyDigestSize]byte
}

// NewImageKeys makes the keys of an image and seals them.
func (k *KEK) NewImageKeys(image wire.UUID) (*ImageKeys, *SealedImageKeys, error) {
	var keys ImageKeys
	var sealed SealedImageKeys
	var err error
	if keys.ID, sealed.ID, sealed.IDDigest, err = k.newImageKey(nameIDKey(image)); err != nil {
		return nil, nil, err
	}
	if keys.Author, sealed.Author, sealed.AuthorDigest, err = k.newImageKey(nameAuthorKey(image)); err != nil {
		return nil, nil, err
	}
	return &keys, &sealed, nil
}

// OpenImageKeys opens the keys of an image. The error wraps ErrWrongKEK.
func (k *KEK) OpenImageKeys(image wire.UUID, id, author []byte) (*ImageKeys, error) {
	var keys ImageKeys
	var err error
	if keys.ID, err = k.openImageKey(nameIDKey(image), id); err != nil {
		return nil, err
	}
	keys.Author, err = k.openImageKey(nameAuthorKey(image), author)
	return &keys, err
}

func nameIDKey(image wire.UUID) string     { return "image/" + image.String() + "/id-key" }
func nameAuthorKey(image wire.UUID) string { return "image/" + image.String() + "/author-key" }

func (k *KEK) newImageKey(name string) (key *ecdsa.PrivateKey, sealed []byte, digest [idblock.KeyDigestSize]byte, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		return nil, nil, digest, err
	}
	if digest, err = idblock.KeyDigest(&key.PublicKey); err != nil {
		return nil, nil, digest, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, digest, err
	}
	defer clear(encoded)
	return key, k.Seal(name, encoded), digest, nil
}

func (k *KEK) openImageKey(name string, sealed []byte) (*ecdsa.PrivateKey, error) {
	encoded, err := k.Open(name, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(encoded)
	parsed, err := x509.ParsePKCS8PrivateKey(encoded)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an ECDSA key", name)
	}
	return key, nil
}
