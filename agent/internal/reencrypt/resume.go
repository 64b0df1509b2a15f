package reencrypt

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Work is a re-encryption. It is not safe for concurrent use.
type Work struct {
	volume         Volume
	golden, target *xts.Cipher
	key            []byte // of the journal
	sequence       uint64 // of the newest record
	boundary       int64  // in the payload: the target's key below, the golden one above
	done           bool
}

// step is a valid record with a chunk's new ciphertext.
type step struct {
	instancedisk.JournalRecord
	bytes []byte
}

// end is the boundary once the step is done.
func (s step) end() int64 { return s.Place + s.Length }

// Resume goes on where the journal says, golden being the image's VMK and target the
// volume key, which it copies. It repeats the chunks that a power cut may have torn.
// ErrNoJournal or ErrJournal when the journal does not say where that is. A Work must be
// closed.
func (v Volume) Resume(golden, target []byte) (*Work, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	startKey, err := wire.JournalStartKey(golden)
	if err != nil {
		return nil, err
	}
	defer clear(startKey)
	w := &Work{volume: v}
	if w.key, err = wire.JournalKey(target); err != nil {
		return nil, err
	}
	steps, err := v.steps(func(k instancedisk.Kind) []byte {
		if k == instancedisk.Start {
			return startKey
		}
		return w.key
	})
	if err == nil {
		err = w.ciphers(golden, target)
	}
	if err == nil {
		err = w.repeat(steps)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// ciphers expands the keys.
func (w *Work) ciphers(golden, target []byte) (err error) {
	if w.golden, err = xts.New(golden, w.volume.SectorSize); err != nil {
		return err
	}
	w.target, err = xts.New(target, w.volume.SectorSize)
	return err
}

// Close wipes the keys.
func (w *Work) Close() {
	clear(w.key)
	for _, c := range []*xts.Cipher{w.golden, w.target} {
		if c != nil {
			c.Wipe()
		}
	}
}

// steps reads the valid records, the older first.
func (v Volume) steps(key func(instancedisk.Kind) []byte) ([]step, error) {
	var steps []step
	var why []error
	for place := range uint64(2) {
		s, err := v.step(place, key)
		switch {
		case errors.Is(err, errRead):
			return nil, err
		case err != nil:
			why = append(why, err)
		default:
			steps = append(steps, s)
		}
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("%w: %w", ErrNoJournal, errors.Join(why...))
	}
	if len(steps) == 2 && steps[0].Sequence > steps[1].Sequence {
		steps[0], steps[1] = steps[1], steps[0]
	}
	return steps, nil
}

// errRead is a device that does not give what it should hold: another try may help.
var errRead = errors.New("read journal")

// step reads one record, and a chunk's buffer. Nothing is read twice: the host may
// answer differently.
func (v Volume) step(place uint64, key func(instancedisk.Kind) []byte) (step, error) {
	b := make([]byte, instancedisk.JournalSize)
	if _, err := v.Device.ReadAt(b, instancedisk.JournalAt(place)); err != nil {
		return step{}, fmt.Errorf("%w: %w", errRead, err)
	}
	r, err := instancedisk.DecodeJournal(b, v.id(), key)
	switch {
	case err != nil:
		return step{}, err
	case r.Sealed != v.Sealed:
		return step{}, errors.New("record of another claim")
	case r.Sequence&1 != place:
		return step{}, errors.New("record in the other's place")
	case r.Kind != instancedisk.Chunk:
		return step{JournalRecord: r}, nil
	case r.Place%int64(v.SectorSize) != 0 || r.Length%int64(v.SectorSize) != 0 || r.Place > v.PayloadSize-r.Length:
		return step{}, errors.New("record of a chunk outside of the payload")
	}
	s := step{r, make([]byte, r.Length)}
	if _, err := v.Device.ReadAt(s.bytes, instancedisk.BufferAt(r.Sequence)); err != nil {
		return step{}, fmt.Errorf("%w: %w", errRead, err)
	}
	if sha256.Sum256(s.bytes) != r.Buffer {
		return step{}, errors.New("buffer does not hold what the record says")
	}
	return s, nil
}

// repeat does valid steps once more and takes over where they end. The flush comes
// before the next chunk overwrites what was repeated.
func (w *Work) repeat(steps []step) error {
	newest := steps[len(steps)-1]
	w.sequence, w.boundary = newest.Sequence, newest.end()
	for _, s := range steps {
		w.done = w.done || s.Kind == instancedisk.Done
	}
	if w.done {
		return nil
	}
	if older := steps[0]; len(steps) == 2 && (older.Sequence+1 != newest.Sequence || older.end() > newest.Place) {
		return fmt.Errorf("%w: records %d and %d do not follow each other", ErrJournal, older.Sequence, newest.Sequence)
	}
	for _, s := range steps {
		if err := w.volume.write(w.volume.PayloadOffset+s.Place, s.bytes); err != nil {
			return fmt.Errorf("repeat chunk %d: %w", s.Sequence, err)
		}
	}
	return w.volume.flush()
}

// Done reports whether the journal says that all is re-encrypted.
func (w *Work) Done() bool { return w.done }

// Boundary returns how far the re-encryption has come, in bytes of the payload.
func (w *Work) Boundary() int64 { return w.boundary }
