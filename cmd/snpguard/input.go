package main

import (
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/input"
)

// openInput opens a file that a command line names.
func openInput(path string) (io.ReadCloser, error) { return input.Open(path) }

// readBounded reads at most limit bytes of a file.
func readBounded(path string, limit int64) ([]byte, error) { return input.Bounded(path, limit) }

// readWhole reads a file and refuses one of more than limit bytes.
func readWhole(path string, limit int64) ([]byte, error) { return input.Whole(path, limit) }
