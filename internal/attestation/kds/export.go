package kds

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Export writes the whole cache as one archive for Import on a machine that
// cannot reach KDS. Entries that no longer pass the checks are left out and
// returned. The same cache gives the same bytes.
func (c *Client) Export(ctx context.Context, w io.Writer) (exported []Key, left []Inspected, err error) {
	m := manifest{Format: manifestFormat, Entries: []manifestEntry{}}
	var data [][]byte
	total := 0
	err = c.Inspect(ctx, func(in Inspected) error {
		if in.Err != nil {
			left = append(left, in)
			return nil //nolint:nilerr // the caller is told, the others are exported
		}
		if total += len(in.data); total > maxArchiveSize || len(data) == maxArchiveEntries {
			return fmt.Errorf("the cache is too large for an archive of %d entries and %s", maxArchiveEntries, size.Text(maxArchiveSize))
		}
		m.Entries = append(m.Entries, newManifestEntry(in.Key, Entry{in.data, in.FetchedAt}))
		data = append(data, in.data)
		exported = append(exported, in.Key)
		return nil
	})
	if err == nil {
		err = writeArchive(w, m, data)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("export: %w", err)
	}
	return exported, left, nil
}

func writeArchive(w io.Writer, m manifest, data [][]byte) error {
	zw := gzip.NewWriter(w)
	tw := tar.NewWriter(zw)
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	if err := writeMember(tw, manifestName, append(text, '\n')); err != nil {
		return err
	}
	for i, e := range m.Entries {
		if err := writeMember(tw, e.Name, data[i]); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return zw.Close()
}

func writeMember(tw *tar.Writer, name string, data []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data))}
	if err := tw.WriteHeader(header); err != nil {
		return err
	}
	_, err := tw.Write(data)
	return err
}
