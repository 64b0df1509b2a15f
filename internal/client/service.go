package client

//go:generate packer-sdc struct-markdown

// Service says which attestation service is meant, as templates do. Without any
// of it, the service of `snpguard login` on this machine is.
type Service struct {
	// Address of the attestation service, `https://HOST[:PORT]`, as this
	// machine reaches it. Default: the service of `snpguard login`.
	ServiceURL string `mapstructure:"service_url"`
	// PEM file with the CA of the service, or the PEM text itself. Excludes
	// `fingerprint`.
	CAFile string `mapstructure:"ca_file"`
	// SHA-256 fingerprint of the CA of the service in hexadecimal, as the
	// service prints it at its first start. Excludes `ca_file`.
	Fingerprint string `mapstructure:"fingerprint"`
}

// Account is a service together with the right to use it.
type Account struct {
	Service `mapstructure:",squash"`
	// API token. Default: the environment variable `SNPGUARD_TOKEN`, or the
	// token of `snpguard login` for this service. Packer never prints it.
	Token string `mapstructure:"token"`
}
