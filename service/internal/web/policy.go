package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func hexNumber(n uint64) string { return strconv.FormatUint(n, 16) }

// floorLine is the floors of one TCB of a product line, a line of the form.
type floorLine struct {
	Product  snp.Product
	TCB      string // reported, committed or launch
	Set      bool
	Levels   []floorLevel
	ofFloors func(*attest.ProductFloors) **snp.TCB
}

// floorLevel is the least level of one component, a box of the form.
type floorLevel struct{ Field, Name, Value string }

// components are the levels of a TCB. Turin alone has an FMC.
func components(p snp.Product) []string {
	if p == snp.Turin {
		return []string{"bootloader", "tee", "snp", "microcode", "fmc"}
	}
	return []string{"bootloader", "tee", "snp", "microcode"}
}

func level(t *snp.TCB, name string) *uint8 {
	return map[string]*uint8{"fmc": &t.FMC, "bootloader": &t.BootLoader, "tee": &t.TEE, "snp": &t.SNP, "microcode": &t.Microcode}[name]
}

// floorLines returns the lines of the form, without what the policy says.
func floorLines() []floorLine {
	var lines []floorLine
	for _, p := range snp.Products() {
		lines = append(lines,
			floorLine{Product: p, TCB: "reported", ofFloors: func(f *attest.ProductFloors) **snp.TCB { return &f.Reported }},
			floorLine{Product: p, TCB: "committed", ofFloors: func(f *attest.ProductFloors) **snp.TCB { return &f.Committed }},
			floorLine{Product: p, TCB: "launch", ofFloors: func(f *attest.ProductFloors) **snp.TCB { return &f.Launch }})
	}
	for i := range lines {
		for _, name := range components(lines[i].Product) {
			field := strings.ToLower(string(lines[i].Product)) + "." + lines[i].TCB + "." + name
			lines[i].Levels = append(lines[i].Levels, floorLevel{Field: field, Name: name})
		}
	}
	return lines
}

// shownPolicy is a report policy as people read it.
type shownPolicy struct {
	PolicyText string // indented
	Floors     []floorLine
	Warnings   []string
}

// showPolicy returns a policy as people read it.
func showPolicy(document []byte) (*shownPolicy, error) {
	policy, err := attest.ParsePolicy(document)
	if err != nil {
		return nil, err
	}
	lines := floorLines()
	for i := range lines {
		floors := *policy.TCBFloors.Of(lines[i].Product)
		if floors == nil {
			continue
		}
		tcb := *lines[i].ofFloors(floors)
		if tcb == nil {
			continue
		}
		lines[i].Set = true
		for j := range lines[i].Levels {
			lines[i].Levels[j].Value = strconv.Itoa(int(*level(tcb, lines[i].Levels[j].Name)))
		}
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, document, "", "  "); err != nil {
		return nil, fmt.Errorf("indent policy: %w", err)
	}
	return &shownPolicy{indented.String(), lines, policy.Warnings()}, nil
}

// readFloors reads the form. A line that is empty has no floor; in one that is
// not, empty boxes are zero.
func readFloors(r *request) (attest.TCBFloors, error) {
	var all attest.TCBFloors
	for _, line := range floorLines() {
		var tcb snp.TCB
		given := false
		for _, l := range line.Levels {
			text := strings.TrimSpace(r.PostForm.Get(l.Field))
			if text == "" {
				continue
			}
			n, err := strconv.ParseUint(text, 10, 8)
			if err != nil {
				return all, refused("%s, %s, %s: want a number from 0 to 255.", line.Product, line.TCB, l.Name)
			}
			*level(&tcb, l.Name), given = uint8(n), true
		}
		if !given {
			continue
		}
		floors := all.Of(line.Product)
		if *floors == nil {
			*floors = &attest.ProductFloors{}
		}
		*line.ofFloors(*floors) = &tcb
	}
	return all, nil
}

// changeFloors puts other floors into the image's policy.
func (w *Web) changeFloors(rw http.ResponseWriter, r *request) error {
	image, err := w.imageOf(r)
	if err != nil {
		return err
	}
	policy, err := attest.ParsePolicy(image.Policy)
	if err != nil {
		return err
	}
	policy.TCBFloors, err = readFloors(r)
	if p, ok := asProblem(err); ok {
		return w.renderImage(rw, r, p.Status, page{Problem: p})
	}
	document, err := json.Marshal(policy)
	if err != nil {
		return fmt.Errorf("encode policy: %w", err)
	}
	return w.replaceImagePolicy(rw, r, document)
}

func (w *Web) changeImagePolicy(rw http.ResponseWriter, r *request) error {
	document, p := formPolicy(r)
	if p != nil {
		return w.renderImage(rw, r, p.Status, page{Problem: p})
	}
	return w.replaceImagePolicy(rw, r, document)
}

// replaceImagePolicy replaces the policy that the form was made from, and no later one.
func (w *Web) replaceImagePolicy(rw http.ResponseWriter, r *request, document []byte) error {
	revision, err := formRevision(r)
	if err != nil {
		return err
	}
	return w.changeImage(rw, r, wire.ImagePatch{Policy: document, Revision: revision}, "changed")
}

// changeReleasePolicy replaces what a release demands beyond its image's policy.
func (w *Web) changeReleasePolicy(rw http.ResponseWriter, r *request) error {
	document, p := formPolicy(r)
	if p != nil {
		return w.renderRelease(rw, r, p.Status, page{Problem: p})
	}
	revision, err := formRevision(r)
	if err != nil {
		return err
	}
	return w.changeRelease(rw, r, wire.ReleasePatch{Policy: document, Revision: revision}, "changed")
}

// formPolicy returns the policy of a form, or what is wrong with it.
func formPolicy(r *request) ([]byte, *problem) {
	document := []byte(r.PostForm.Get("policy"))
	if !json.Valid(document) {
		return nil, &problem{Status: http.StatusUnprocessableEntity, Title: "The policy was not changed.", Detail: "What you entered is not valid JSON."}
	}
	return document, nil
}

// formRevision returns the revision of the policy that a form was made from.
func formRevision(r *request) (int64, error) {
	revision, err := strconv.ParseInt(r.PostForm.Get("revision"), 10, 64)
	if err != nil {
		return 0, bodyProblem(err)
	}
	return revision, nil
}
