package access

import (
	"maps"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// Operation is what somebody can ask the service to do, whether by the API or by the
// dashboard. Its name is in the record of a refusal.
type Operation string

// The operations.
const (
	ReadImages       Operation = "image.read"
	RegisterImage    Operation = "image.register"
	ChangeImage      Operation = "image.change"
	DeleteImage      Operation = "image.delete"
	RegisterRelease  Operation = "release.register"
	ChangeRelease    Operation = "release.change"
	ApproveRelease   Operation = "release.approve"
	RejectRelease    Operation = "release.reject"
	RetireRelease    Operation = "release.retire"
	RestoreRelease   Operation = "release.restore"
	VerifyRelease    Operation = "release.verify"
	DeleteRelease    Operation = "release.delete"
	ExportRelease    Operation = "release.export"
	SetChannel       Operation = "channel.set"
	DeleteChannel    Operation = "channel.delete"
	ReadInstances    Operation = "instance.read"
	CreateInstance   Operation = "instance.create"
	ChangeInstance   Operation = "instance.change"
	ResetInstance    Operation = "instance.reset"
	AdoptInstance    Operation = "instance.adopt"
	AllowRestore     Operation = "instance.allow_restore"
	DeleteInstance   Operation = "instance.delete"
	UndeleteInstance Operation = "instance.undelete"
	ReadRecovery     Operation = "instance.read_recovery"
	ReadTokens       Operation = "token.read"
	CreateToken      Operation = "token.create"
	RevokeToken      Operation = "token.revoke"
	ReadAudit        Operation = "audit.read"
	FollowAudit      Operation = "audit.follow"
	ExportAudit      Operation = "audit.export"
	VerifyAudit      Operation = "audit.verify"
	ReadKDS          Operation = "kds.read"
	ExportKDS        Operation = "kds.export"
	ImportKDS        Operation = "kds.import"
	ReadStatus       Operation = "status.read"
	LogIn            Operation = "session.start"
	LogOut           Operation = "session.end"
	ChangePassword   Operation = "password.change"
)

// Limit is a kind of work of which there is so much at the same time and no more.
type Limit string

// The limits. What they count stands in the refusal.
const (
	NoLimit       Limit = ""
	Followers     Limit = "requests that wait for records"
	Exports       Limit = "exports and imports"
	Verifications Limit = "verifications"
	Uploads       Limit = "uploads"
)

// Rule is what an operation asks for, and what the audit log says when it is done.
type Rule struct {
	Role   wire.Role // needed; empty: for anyone
	Limit  Limit
	Reason audit.Reason // of its record; empty: it leaves none
}

// rules has a row for each operation.
var rules = map[Operation]Rule{
	ReadImages:       {wire.RoleRead, NoLimit, ""},
	RegisterImage:    {wire.RoleRegister, Uploads, "image.registered"},
	ChangeImage:      {wire.RoleAdmin, NoLimit, "image.changed"},
	DeleteImage:      {wire.RoleAdmin, NoLimit, "image.deleted"},
	RegisterRelease:  {wire.RoleRegister, Uploads, "release.proposed"},
	ChangeRelease:    {wire.RoleAdmin, NoLimit, "release.changed"},
	ApproveRelease:   {wire.RoleApprove, NoLimit, "release.approved"},
	RejectRelease:    {wire.RoleApprove, NoLimit, "release.rejected"},
	RetireRelease:    {wire.RoleApprove, NoLimit, "release.retired"},
	RestoreRelease:   {wire.RoleAdmin, NoLimit, "release.restored"},
	VerifyRelease:    {wire.RoleRegister, NoLimit, "release.verified"},
	DeleteRelease:    {wire.RoleAdmin, NoLimit, "release.deleted"},
	ExportRelease:    {wire.RoleRegister, Exports, ""},
	SetChannel:       {wire.RoleApprove, NoLimit, "channel.set"},
	DeleteChannel:    {wire.RoleApprove, NoLimit, "channel.deleted"},
	ReadInstances:    {wire.RoleRead, NoLimit, ""},
	CreateInstance:   {wire.RoleAdmin, NoLimit, "instance.created"},
	ChangeInstance:   {wire.RoleAdmin, NoLimit, "instance.changed"},
	ResetInstance:    {wire.RoleAdmin, NoLimit, "instance.reset"},
	AdoptInstance:    {wire.RoleAdmin, NoLimit, "instance.adopted"},
	AllowRestore:     {wire.RoleAdmin, NoLimit, "instance.restore_allowed"},
	DeleteInstance:   {wire.RoleAdmin, NoLimit, "instance.deleted"},
	UndeleteInstance: {wire.RoleAdmin, NoLimit, "instance.undeleted"},
	ReadRecovery:     {wire.RoleAdmin, NoLimit, "instance.recovery_read"},
	ReadTokens:       {wire.RoleAdmin, NoLimit, ""},
	CreateToken:      {wire.RoleAdmin, NoLimit, "token.created"},
	RevokeToken:      {wire.RoleAdmin, NoLimit, "token.revoked"},
	ReadAudit:        {wire.RoleRead, NoLimit, ""},
	FollowAudit:      {wire.RoleRead, Followers, ""},
	ExportAudit:      {wire.RoleRead, Exports, ""},
	VerifyAudit:      {wire.RoleRead, Verifications, ""},
	ReadKDS:          {wire.RoleRead, NoLimit, ""},
	ExportKDS:        {wire.RoleRead, Exports, ""},
	ImportKDS:        {wire.RoleAdmin, Exports, "kds.imported"},
	ReadStatus:       {wire.RoleRead, NoLimit, ""},
	LogIn:            {"", NoLimit, "session.started"},
	LogOut:           {wire.RoleRead, NoLimit, "session.ended"},
	ChangePassword:   {wire.RoleAdmin, NoLimit, "password.changed"},
}

// Operations returns all of them with their rules.
func Operations() map[Operation]Rule { return maps.Clone(rules) }

// Rule returns what an operation asks for. One that is not in the table is for nobody.
func (o Operation) Rule() Rule {
	rule, known := rules[o]
	if !known {
		return Rule{Role: "nobody"}
	}
	return rule
}

// Reasons of records that are of no operation that was done.
const (
	reasonRoleRefused   audit.Reason = "role.refused"
	reasonPartyRefused  audit.Reason = "party.refused"
	reasonWrongPassword audit.Reason = "password.wrong"
)
