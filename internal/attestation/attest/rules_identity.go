package attest

// identityRules ask what was launched and by whom.
var identityRules = []rule{
	listRule("measurements", func(p *Policy) []Bytes48 { return p.Measurements },
		func(v *Verified) Bytes48 { return v.Report.Measurement }),
	listRule("id_key_digests", func(p *Policy) []Bytes48 { return p.IDKeyDigests },
		func(v *Verified) Bytes48 { return v.Report.IDKeyDigest }),
	flagRule("author_key", func(p *Policy) *bool { return p.AuthorKey },
		func(v *Verified) bool { return v.Report.AuthorKeyEn }),
	listRule("author_key_digests", func(p *Policy) []Bytes48 { return p.AuthorKeyDigests },
		func(v *Verified) Bytes48 { return v.Report.AuthorKeyDigest }),
	equalRule("family_id", func(p *Policy) *Bytes16 { return p.FamilyID },
		func(v *Verified) Bytes16 { return v.Report.FamilyID }),
	equalRule("image_id", func(p *Policy) *Bytes16 { return p.ImageID },
		func(v *Verified) Bytes16 { return v.Report.ImageID }),
	equalRule("host_data", func(p *Policy) *Bytes32 { return p.HostData },
		func(v *Verified) Bytes32 { return v.Report.HostData }),
	equalRule("report_data", func(p *Policy) *Bytes64 { return p.ReportData },
		func(v *Verified) Bytes64 { return v.Report.ReportData }),
}
