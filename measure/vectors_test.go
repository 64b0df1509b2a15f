package measure_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// vectorCase is one launch digest of testdata/measure/cases.json.
type vectorCase struct {
	ID            string `json:"id"`
	Note          string `json:"note"`
	Mode          string `json:"mode"`
	Firmware      string `json:"firmware"`
	Kernel        string `json:"kernel"`
	Initrd        string `json:"initrd"`
	Append        string `json:"append"`
	VCPUs         int    `json:"vcpus"`
	VCPUType      string `json:"vcpu_type"`
	VCPUFMS       []uint `json:"vcpu_fms"`
	VCPUSig       string `json:"vcpu_sig"`
	VMM           string `json:"vmm"`
	GuestFeatures string `json:"guest_features"`
	SVSM          string `json:"svsm"`
	VarsSize      uint32 `json:"vars_size"`
	Expected      string `json:"expected"`
	ExpectError   bool   `json:"expect_error"`
}

func TestLaunchDigestVectors(t *testing.T) {
	var file struct {
		Cases []vectorCase `json:"launch_digests"`
	}
	vectors.ReadJSON(t, "measure/cases.json", &file)
	if len(file.Cases) != 69 {
		t.Fatalf("%d cases, want 69", len(file.Cases))
	}
	refused, read := 0, vectors.Memo()
	for _, c := range file.Cases {
		t.Run(c.ID, func(t *testing.T) {
			got, err := c.digest(t, read)
			switch {
			case c.ExpectError && err == nil:
				t.Errorf("%s: got %s, want an error", c.Note, got)
			case c.ExpectError:
				t.Logf("%s: %v", c.Note, err)
			case err != nil:
				t.Errorf("%s: %v", c.Note, err)
			case got.String() != c.Expected:
				t.Errorf("%s: got %s, want %s", c.Note, got, c.Expected)
			}
		})
		if c.ExpectError {
			refused++
		}
	}
	if refused != 9 {
		t.Errorf("%d cases to refuse, want 9", refused)
	}
}

func (c vectorCase) digest(t *testing.T, read readFile) (measure.Digest, error) {
	firmware, err := c.parse(t, read, c.Firmware)
	if err != nil {
		return measure.Digest{}, err
	}
	if c.Mode == "snp:ovmf-hash" {
		return measure.FirmwareDigest(firmware), nil
	}
	config := measure.Config{Firmware: firmware, SVSMVarsSize: c.VarsSize}
	if config.VMM, err = measure.ParseVMM(c.VMM); err != nil {
		return measure.Digest{}, err
	}
	if config.GuestFeatures, err = strconv.ParseUint(c.GuestFeatures, 0, 64); err != nil {
		return measure.Digest{}, err
	}
	if c.SVSM != "" {
		if config.SVSM, err = c.parse(t, read, c.SVSM); err != nil {
			return measure.Digest{}, err
		}
	}
	if c.Kernel != "" {
		if config.Kernel, err = hashFiles(c.Kernel, c.Initrd, c.Append); err != nil {
			return measure.Digest{}, err
		}
	}
	vcpuType, err := c.vcpuType(config.VMM)
	if err != nil {
		return measure.Digest{}, err
	}
	launch, err := measure.New(config)
	if err != nil {
		return measure.Digest{}, err
	}
	return launch.Digest(measure.VCPUs{Count: c.VCPUs, Type: vcpuType})
}

// readFile is vectors.ReadFile, or one that remembers.
type readFile func(name string) ([]byte, error)

func (c vectorCase) parse(t *testing.T, read readFile, name string) (*measure.Firmware, error) {
	data, err := read("measure/inputs/" + name)
	if err != nil {
		return nil, err
	}
	f, err := measure.ParseFirmware(data)
	if err != nil && !errors.Is(err, measure.ErrFirmwareSize) && !errors.Is(err, measure.ErrBadMetadata) {
		t.Errorf("%s: error %v wraps no known class", name, err)
	}
	return f, err
}

func (c vectorCase) vcpuType(vmm measure.VMM) (measure.VCPUType, error) {
	switch {
	case c.VCPUFMS != nil:
		signature, err := measure.Signature(c.VCPUFMS[0], c.VCPUFMS[1], c.VCPUFMS[2])
		return measure.VCPUTypeFromSignature(signature), err
	case c.VCPUSig != "":
		signature, err := strconv.ParseUint(c.VCPUSig, 0, 32)
		return measure.VCPUTypeFromSignature(uint32(signature)), err
	case c.VCPUType == "" && vmm.UsesSignature():
		return measure.VCPUType{}, errors.New("no vCPU type")
	case c.VCPUType == "":
		return measure.VCPUType{}, nil
	}
	return measure.ParseVCPUType(c.VCPUType)
}

func hashFiles(kernel, initrd, cmdline string) (*measure.KernelHashes, error) {
	inputs := filepath.Join(vectors.Dir(), "measure/inputs")
	k, err := os.Open(filepath.Join(inputs, kernel))
	if err != nil {
		return nil, err
	}
	defer k.Close()
	if initrd == "" {
		h, err := measure.HashKernel(k, nil, cmdline)
		return &h, err
	}
	i, err := os.Open(filepath.Join(inputs, initrd))
	if err != nil {
		return nil, err
	}
	defer i.Close()
	h, err := measure.HashKernel(k, i, cmdline)
	return &h, err
}

// peerCall is one call in the test suite of sev-snp-measure.
type peerCall struct {
	Mode          string  `json:"mode"`
	VCPUs         int     `json:"vcpus"`
	VCPUSig       *string `json:"vcpu_sig"`
	OVMF          string  `json:"ovmf"`
	Kernel        *string `json:"kernel"`
	Append        *string `json:"append"`
	GuestFeatures uint64  `json:"guest_features"`
	OVMFHash      string  `json:"snp_ovmf_hash_str"`
	VMM           string  `json:"vmm_type"`
	VarsSize      uint32  `json:"vars_size"`
	DumpVMSA      bool    `json:"dump_vmsa"`
}

// TestPeerDigests runs the SEV-SNP digests of sev-snp-measure's own tests.
// SEV and SEV-ES launches are not this package's.
func TestPeerDigests(t *testing.T) {
	var file struct {
		Suites []struct {
			Name  string            `json:"name"`
			Cases []json.RawMessage `json:"cases"`
		} `json:"suites"`
	}
	vectors.ReadJSON(t, "measure/peer_tests.json", &file)
	ran, read := 0, vectors.Memo()
	for _, raw := range file.Suites[0].Cases {
		var c struct {
			Test         string     `json:"test"`
			Calls        []peerCall `json:"calls"`
			Expected     string     `json:"expected"`
			ExpectedHash string     `json:"expected_ovmf_hash"`
			ExpectError  string     `json:"expect_error"`
		}
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatal(err)
		}
		call := c.Calls[0]
		if call.DumpVMSA || (call.Mode != "SevMode.SEV_SNP" && call.Mode != "SevMode.SEV_SNP_SVSM") {
			continue
		}
		ran++
		t.Run(c.Test, func(t *testing.T) {
			got, err := call.digest(read, c.ExpectedHash)
			if c.ExpectError != "" {
				if !errors.Is(err, measure.ErrNoKernelHashes) {
					t.Errorf("got %v, want %v", err, measure.ErrNoKernelHashes)
				}
				return
			}
			if err != nil || got.String() != c.Expected {
				t.Errorf("got %s, %v, want %s", got, err, c.Expected)
			}
		})
	}
	if ran != 19 {
		t.Errorf("ran %d of the suite's digests, want 19", ran)
	}
}

func (c peerCall) digest(read readFile, ovmfHash string) (measure.Digest, error) {
	parse := func(name string) (*measure.Firmware, error) {
		data, err := read("measure/inputs/fw/" + name)
		if err != nil {
			return nil, err
		}
		return measure.ParseFirmware(data)
	}
	firmware, err := parse(filepath.Base(c.OVMF))
	if err != nil {
		return measure.Digest{}, err
	}
	config := measure.Config{Firmware: firmware, GuestFeatures: c.GuestFeatures, SVSMVarsSize: c.VarsSize}
	if c.VMM != "" {
		if config.VMM, err = measure.ParseVMM(filepath.Ext(c.VMM)[1:]); err != nil {
			return measure.Digest{}, err
		}
	}
	if c.VarsSize != 0 {
		if config.SVSM, err = parse("svsm.bin"); err != nil {
			return measure.Digest{}, err
		}
	}
	if c.Kernel != nil { // always /dev/null
		h, err := hashFiles("payload/initrd_empty.bin", "", deref(c.Append))
		if err != nil {
			return measure.Digest{}, err
		}
		config.Kernel = h
	}
	if digest, err := measure.ParseDigest(c.OVMFHash); err == nil {
		config.FirmwareDigest = &digest
	} else if ovmfHash != "" && measure.FirmwareDigest(firmware).String() != ovmfHash {
		return measure.Digest{}, fmt.Errorf("firmware digest %s, want %s", measure.FirmwareDigest(firmware), ovmfHash)
	}
	vcpuType := measure.VCPUType{}
	if c.VCPUSig != nil {
		if vcpuType, err = measure.ParseVCPUType(*c.VCPUSig); err != nil {
			return measure.Digest{}, err
		}
	}
	launch, err := measure.New(config)
	if err != nil {
		return measure.Digest{}, err
	}
	return launch.Digest(measure.VCPUs{Count: c.VCPUs, Type: vcpuType})
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
