package register

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/snpguard-go/packer-plugin-snpguard/builder/conversion"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// BuilderID names what made the artifact.
const BuilderID = "snpguard.registration"

// What an artifact's State knows beside what that of the conversion does.
const (
	StateBundle       = "bundle"       // path of the launch bundle
	StateReleaseID    = "release_id"   // UUID
	StateServiceURL   = "service_url"  // of the service
	StateMeasurements = "measurements" // launch digests by variant, such as "4xEPYC-Genoa", as a JSON object
)

// Artifact is a registered image: the files of the conversion and the launch
// bundle.
type Artifact struct {
	files      []string
	state      map[string]any
	bundle     string
	registered *wire.Registered
}

// newArtifact asks the artifact of the conversion for what it knows: it cannot be
// asked any more when the post-processor has returned.
func newArtifact(source packer.Artifact, bundle, service string, registered *wire.Registered) (*Artifact, error) {
	measurements := map[string]string{}
	for _, v := range registered.Release.Variants {
		measurements[fmt.Sprintf("%dx%s", v.VCPUs, v.VCPUType)] = v.Measurement
	}
	encoded, err := json.Marshal(measurements)
	if err != nil {
		return nil, err
	}
	a := &Artifact{files: append(source.Files(), bundle), bundle: bundle, registered: registered, state: map[string]any{
		StateBundle: bundle, StateReleaseID: registered.Release.ID.String(), StateServiceURL: service, StateMeasurements: string(encoded),
	}}
	for _, name := range conversion.States() {
		a.state[name] = source.State(name)
	}
	return a, nil
}

// BuilderId implements packer.Artifact.
func (a *Artifact) BuilderId() string { return BuilderID } //nolint:revive // the SDK's name

// Files implements packer.Artifact: those of the conversion, then the bundle.
func (a *Artifact) Files() []string { return a.files }

// Id implements packer.Artifact: the UUID of the image, as the service knows it.
func (a *Artifact) Id() string { return a.registered.Image.ID.String() } //nolint:revive // the SDK's name

// String implements packer.Artifact.
func (a *Artifact) String() string {
	return fmt.Sprintf("registered as image %s, release %s: launch bundle %s", a.Id(), a.registered.Release.ID, a.bundle)
}

// State implements packer.Artifact.
func (a *Artifact) State(name string) any { return a.state[name] }

// Destroy implements packer.Artifact. The files of the conversion belong to its own
// artifact; the service keeps the image.
func (a *Artifact) Destroy() error { return os.Remove(a.bundle) }
