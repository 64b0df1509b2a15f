package wire

import "time"

// Role is what a token allows. Each includes those before it.
type Role string

// The roles.
const (
	RoleRead     Role = "read"     // look at everything that is not secret
	RoleRegister Role = "register" // register images, export bundles
	RoleApprove  Role = "approve"  // decide on releases, move channels
	RoleAdmin    Role = "admin"    // everything
)

// Token describes an API token without its secret.
type Token struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Role       Role       `json:"role"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`   // null while it is valid
	LastUsedAt *time.Time `json:"last_used_at"` // to the minute; null when it never was
}

// TokenRequest asks for a new token.
type TokenRequest struct {
	Name      string `json:"name"`
	Role      Role   `json:"role"`
	ExpiresIn int64  `json:"expires_in"` // in seconds
}

// NewToken is a new token with its secret, which is shown this once.
type NewToken struct {
	Token
	Secret string `json:"secret"`
}

// TokenList is all tokens.
type TokenList struct {
	Tokens []Token `json:"tokens"`
}

// AuditRecord is one entry of the audit log.
type AuditRecord struct {
	Seq        int64             `json:"seq"`
	Time       time.Time         `json:"time"`
	Kind       string            `json:"kind"`    // "unlock" or "admin"
	Outcome    string            `json:"outcome"` // "granted", "denied" or "done"
	Reason     string            `json:"reason"`  // stable code
	Rule       string            `json:"rule,omitempty"`
	Expected   string            `json:"expected,omitempty"`
	Found      string            `json:"found,omitempty"`
	RequestID  string            `json:"request_id"`
	Address    string            `json:"address"`
	Actor      string            `json:"actor,omitempty"` // who did it, for "admin"
	ImageID    string            `json:"image_id,omitempty"`
	ReleaseID  string            `json:"release_id,omitempty"`
	InstanceID string            `json:"instance_id,omitempty"`
	ChipID     string            `json:"chip_id,omitempty"` // hexadecimal
	TCB        string            `json:"tcb,omitempty"`     // reported
	Report     []byte            `json:"report,omitempty"`  // the whole report
	Details    map[string]string `json:"details,omitempty"`
	Count      int64             `json:"count,omitempty"` // denials that the record stands for, when it is not one alone
	PrevHash   string            `json:"prev_hash"`       // hexadecimal
	Hash       string            `json:"hash"`            // hexadecimal
	Body       []byte            `json:"body,omitempty"`  // what the hash is over, in exports alone
}

// AuditList is one page of the audit log.
type AuditList struct {
	Records []AuditRecord `json:"records"`
	Next    string        `json:"next"` // cursor of the next page; empty on the last
}

// AuditHead names the last record. Kept elsewhere, it shows later whether the
// log was cut.
type AuditHead struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"` // hexadecimal
}

// AuditVerification is the outcome of checking the hash chain.
type AuditVerification struct {
	Valid   bool      `json:"valid"`
	Records int64     `json:"records"` // that were checked
	Head    AuditHead `json:"head"`
	Broken  int64     `json:"broken,omitempty"` // sequence number of the first bad record
	Problem string    `json:"problem,omitempty"`
}

// Status answers GET PathStatus.
type Status struct {
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	Database  string    `json:"database"` // "sqlite" or "postgres"
	Images    int64     `json:"images"`
	Releases  int64     `json:"releases"`
	Audit     AuditHead `json:"audit"`
	Simulated bool      `json:"simulated"`
	Warnings  []string  `json:"warnings"` // what an operator should know, such as a simulated root
}

// KDSStatus answers GET PathKDS.
type KDSStatus struct {
	BaseURL string     `json:"base_url"`
	Offline bool       `json:"offline"`
	Entries []KDSEntry `json:"entries"`
}

// KDSEntry is one cached answer of AMD's KDS.
type KDSEntry struct {
	Name      string    `json:"name"`
	Size      int64     `json:"size"` // in bytes
	FetchedAt time.Time `json:"fetched_at"`
}

// KDSImported answers an import into the KDS cache.
type KDSImported struct {
	Imported []string `json:"imported"` // names of the entries
}
