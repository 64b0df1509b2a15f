package audit

// What an instance went through, as its boots said.
const (
	ReasonInstanceMade      Reason = "instance.made" // by its first launch
	ReasonInstanceClaim     Reason = "instance.claimed"
	ReasonInstanceReady     Reason = "instance.ready"
	ReasonInstanceCommitted Reason = "instance.committed"
)
