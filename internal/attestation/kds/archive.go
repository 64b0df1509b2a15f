package kds

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// perMember bounds what a tar needs for a file besides its data, in bytes: two
// headers, a record with the name, padding.
const perMember = 4 * 512

// maxPadding bounds the zeros at the end of a tar, in bytes. Usual are 10 KiB.
const maxPadding = 64 << 10

// readArchive reads an archive and returns its manifest and, in the same order,
// the data of its entries, whose sizes and digests are right. What the data mean
// is not looked at.
func readArchive(r io.Reader) (*manifest, [][]byte, error) {
	packed := bufio.NewReader(r)
	zr, err := gzip.NewReader(packed)
	if err != nil {
		return nil, nil, err
	}
	zr.Multistream(false)
	unpacked := &budget{r: zr}
	m, data, err := readMembers(unpacked)
	if err != nil {
		return nil, nil, err
	}
	// To the end, where the checksum is.
	if err := onlyZeros(unpacked); err != nil {
		return nil, nil, err
	}
	if _, err := packed.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("trailing data after the archive")
	}
	return m, data, nil
}

func readMembers(unpacked *budget) (*manifest, [][]byte, error) {
	tr := tar.NewReader(unpacked)
	unpacked.left = maxManifestSize + perMember
	text, err := readMember(tr, manifestName, maxManifestSize)
	if err != nil {
		return nil, nil, err
	}
	m, err := parseManifest(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	unpacked.left = m.size() + int64(len(m.Entries)+1)*perMember + maxPadding
	var all [][]byte
	for i := range m.Entries {
		e := &m.Entries[i]
		data, err := readMember(tr, e.Name, e.Size)
		if err != nil {
			return nil, nil, err
		}
		if err := e.matches(data); err != nil {
			return nil, nil, err
		}
		all = append(all, data)
	}
	if header, err := tr.Next(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fmt.Errorf("%.200q is not in the manifest", header.Name)
		}
		return nil, nil, err
	}
	return m, all, nil
}

// readMember reads the next file, which must have that name and at most that many
// bytes. Links, devices, sparse files and the like are no files.
func readMember(tr *tar.Reader, name string, limit int) ([]byte, error) {
	header, err := tr.Next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is missing", name)
	}
	if err != nil {
		return nil, err
	}
	if header.Name != name {
		return nil, fmt.Errorf("found %.200q, want %s", header.Name, name)
	}
	if header.Typeflag != tar.TypeReg {
		return nil, fmt.Errorf("%s is not a plain file", name)
	}
	for record := range header.PAXRecords {
		if record != "path" { // long names need it
			return nil, fmt.Errorf("%s has a record %.200q", name, record)
		}
	}
	if header.Size > int64(limit) {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d", name, header.Size, limit)
	}
	data, err := io.ReadAll(tr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// onlyZeros reads to the end, within the budget, and wants nothing but the padding
// of a tar.
func onlyZeros(r io.Reader) error {
	rest, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(bytes.Trim(rest, "\x00")) > 0 {
		return errors.New("trailing data after the last file")
	}
	return nil
}

// budget is a reader that fails after so many bytes: a small archive may expand
// to endless headers and padding.
type budget struct {
	r    io.Reader
	left int64
}

func (b *budget) Read(p []byte) (int, error) {
	// One byte more, to tell the end from too much.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errors.New("it expands to more than the manifest says")
	}
	return n, err
}
