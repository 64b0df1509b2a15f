package audit

import "fmt"

// Fault is how a record of the log is broken.
type Fault string

// The faults.
const (
	FaultChanged   Fault = "changed"   // the record or its hash is not what was written
	FaultMissing   Fault = "missing"   // there is no record of this number
	FaultReordered Fault = "reordered" // it was written under another number
	FaultColumn    Fault = "column"    // a column by which it is found says something else
	FaultAdded     Fault = "added"     // it is beyond the end of the chain
	FaultHead      Fault = "head"      // the end of the chain does not belong to it, or the service did not write it
	FaultRows      Fault = "rows"      // images, releases, tokens or secrets are not as the service wrote them
	FaultAnchor    Fault = "anchor"    // the record is not the anchored one: the log was written anew
)

// BrokenError says which record of the log is the first that is broken.
type BrokenError struct {
	Seq    int64
	Fault  Fault
	Detail string
}

// Error returns one line.
func (e *BrokenError) Error() string {
	text := fmt.Sprintf("audit log is broken at record %d: %s", e.Seq, e.Fault)
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	return text
}
