package harden

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// Values of Options.CloudInit; others are a list of data sources.
const (
	CloudInitNone = "none" // cloud-init runs without any data source
	CloudInitKeep = "keep" // as it is
)

// Where the converter's files lie in the root, without a leading slash.
const (
	pathAgentLink  = "usr/bin/snpguard-agent"
	pathKernelHook = "etc/kernel/postinst.d/zz-snpguard"
)

// Options says what the owner of an image wants.
type Options struct {
	CloudInit string // CloudInitNone, CloudInitKeep or "NoCloud,Ec2"
	Agent     bool   // there is an agent, which the initrd leaves in /run
	MachineID bool   // the agent gives a root without a machine-id a random one
	Updates   bool   // the guest changes to newer releases
}

// dataSources returns the list that cloud-init is to have.
func (o Options) dataSources() (names []string) {
	if o.CloudInit == CloudInitNone || o.CloudInit == "" {
		return []string{"None"}
	}
	for name := range strings.SplitSeq(o.CloudInit, ",") {
		names = append(names, strings.TrimSpace(name))
	}
	return names
}

// Edit writes one file or symbolic link and replaces what is there, or removes
// it. Owner and group are root; directories that are missing are made with mode
// 0755.
type Edit struct {
	Path    string // without a leading slash
	Mode    uint32 // permissions of a file
	Content []byte // of a file
	Target  string // of a symbolic link; "" for a file
	Remove  bool   // what is at Path goes, with all that is in it
}

// Edits returns what the converter writes into the root, in order. The same root
// and options give the same edits.
func Edits(root fs.FS, o Options) ([]Edit, error) {
	r := &reader{fsys: root}
	fstab, err := newFstab(r.text(fstabFile))
	if err != nil {
		return nil, err
	}
	edits := []Edit{{Path: fstabFile, Mode: 0o644, Content: []byte(fstab)}}
	cloud, err := cloudEdit(r, o)
	if err != nil {
		return nil, err
	}
	edits = append(edits, cloud...)
	for _, unit := range slices.Concat(hostUnits, []string{"debug-shell.service"}) {
		if _, ok := started(r, unit); ok {
			edits = append(edits, Edit{Path: path.Join("etc/systemd/system", unit), Target: "/dev/null"})
		}
	}
	edits = append(edits,
		Edit{Path: strings.TrimPrefix(initrd.PathUdevRule, "/"), Mode: 0o644, Content: []byte(initrd.UdevRule)},
		Edit{Path: strings.TrimPrefix(initrd.PathUdevForeign, "/"), Mode: 0o644, Content: []byte(initrd.UdevForeign)})
	edits = append(edits, updates(r, o)...)
	if o.Agent {
		edits = append(edits, Edit{Path: pathAgentLink, Target: bootconf.PathRunAgent})
	}
	edits = append(edits, failures(r)...)
	edits = append(edits, clock(r)...)
	edits = append(edits, shared(r, o)...)
	if r.err != nil {
		return nil, fmt.Errorf("plan edits of root file system: %w", r.err)
	}
	return edits, nil
}
