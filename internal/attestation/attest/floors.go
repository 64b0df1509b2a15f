package attest

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

//go:embed floors.json
var shippedFloors []byte

// floorsNone is how a policy document opts out of floors.
const floorsNone = "none"

// TCBFloors are the lowest TCB versions, by product line, since levels of
// different lines cannot be compared. Where one line has a floor, a report of a
// line without that floor fails. Without any line, ShippedFloors count, unless
// None is set, which documents write as the word "none".
type TCBFloors struct {
	None  bool           `json:"-"`
	Milan *ProductFloors `json:"milan,omitempty"`
	Genoa *ProductFloors `json:"genoa,omitempty"`
	Turin *ProductFloors `json:"turin,omitempty"`
}

// ProductFloors are the lowest TCB versions of one product line, each component
// on its own.
type ProductFloors struct {
	Reported  *snp.TCB `json:"reported,omitempty"`
	Committed *snp.TCB `json:"committed,omitempty"`
	Launch    *snp.TCB `json:"launch,omitempty"`
}

// Of returns where the floors of a product line are, which is nil for a line that
// none are known of.
func (f *TCBFloors) Of(p snp.Product) **ProductFloors {
	return map[snp.Product]**ProductFloors{snp.Milan: &f.Milan, snp.Genoa: &f.Genoa, snp.Turin: &f.Turin}[p]
}

// of returns the floors of a product line, empty where there are none.
func (f TCBFloors) of(p snp.Product) ProductFloors {
	if floors := f.Of(p); floors != nil && *floors != nil {
		return **floors
	}
	return ProductFloors{}
}

// MarshalJSON returns "none" or the floors by product line.
func (f TCBFloors) MarshalJSON() ([]byte, error) {
	if f.None {
		return json.Marshal(floorsNone)
	}
	type plain TCBFloors
	return json.Marshal(plain(f))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *TCBFloors) UnmarshalJSON(data []byte) error {
	var word string
	if strictjson.Decode(data, &word) == nil {
		if word != floorsNone {
			return fmt.Errorf("tcb_floors: %.40q is neither %q nor floors by product line", word, floorsNone)
		}
		*f = TCBFloors{None: true}
		return nil
	}
	type plain TCBFloors
	if err := policyRules().Decode(data, (*plain)(f)); err != nil {
		return fmt.Errorf("tcb_floors: %w", err)
	}
	if *f == (TCBFloors{}) {
		return errors.New("tcb_floors: is empty; leave it out for the floors that come with the program, or say " + floorsNone)
	}
	return nil
}

// check refuses floors that ask for nothing without the word "none", and an FMC
// level where the chips have none.
func (f *TCBFloors) check() error {
	for _, product := range snp.Products() {
		floors := *f.Of(product)
		if floors == nil {
			continue
		}
		if f.None {
			return fmt.Errorf("tcb_floors: both %q and floors for %s", floorsNone, product)
		}
		if *floors == (ProductFloors{}) {
			return fmt.Errorf("tcb_floors: the floors of %s are empty; leave the line out", product)
		}
		for _, floor := range []*snp.TCB{floors.Reported, floors.Committed, floors.Launch} {
			switch {
			case floor == nil:
			case *floor == (snp.TCB{}):
				return fmt.Errorf("tcb_floors: a floor of %s is 0 throughout, which every chip reaches; for no floors at all, say %q", product, floorsNone)
			case floor.FMC != 0 && product != snp.Turin:
				return fmt.Errorf("tcb_floors: %s has no FMC, so no report has level %d", product, floor.FMC)
			}
		}
	}
	return nil
}

// Shipped are the floors that count where a policy names none.
type Shipped struct {
	Date  string        `json:"date"` // on which the sources were read, YYYY-MM-DD
	Lines []ShippedLine `json:"lines"`
}

// ShippedLine is the floor of a product line, with the bulletins that it is of.
type ShippedLine struct {
	Product snp.Product `json:"product"`
	Floor   snp.TCB     `json:"floor"` // of the reported, the committed and the launch TCB
	Sources []string    `json:"sources"`
}

// ShippedFloors returns the floors that are part of the program.
func ShippedFloors() Shipped {
	var s Shipped
	if err := strictjson.Decode(shippedFloors, &s); err != nil {
		panic(fmt.Sprintf("embedded floors: %v", err))
	}
	return s
}

// For returns the floors of some product lines, of all where none is named.
func (s Shipped) For(products []snp.Product) TCBFloors {
	var floors TCBFloors
	for _, line := range s.Lines {
		if len(products) == 0 || slices.Contains(products, line.Product) {
			floor := line.Floor
			*floors.Of(line.Product) = &ProductFloors{Reported: &floor, Committed: &floor, Launch: &floor}
		}
	}
	return floors
}
